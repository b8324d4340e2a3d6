"""Our own requests to MLflow: they act for no tenant, and skip the checks made on tenants' requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import httpx2
from starlette.types import Receive, Scope, Send

from hokusai import errors
from hokusai.mlflow_api import V2, V3, WORKSPACE_HEADER
from hokusai.tracking.default_experiment import NAME as DEFAULT_EXPERIMENT
from hokusai.tracking.engine import Engine
from hokusai.tracking.error_translation import EXISTS, document, failure

log = logging.getLogger("hokusai.tracking")

_WORKSPACES = V3 + "/workspaces"
_EXPERIMENTS = V2 + "/experiments"


class EngineClient:
    """Sends requests to an ``Engine``. Raises what the engine raises, and ``TrackingDown`` or ``TrackingFault``."""

    def __init__(self, engine: Engine, *, timeout: float) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await engine(scope, receive, send)

        transport = httpx2.ASGITransport(app=app)
        self._http = httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=timeout)
        self._workspaces: set[str] = set()
        self._creating = asyncio.Lock()

    async def close(self) -> None:
        await self._http.aclose()

    async def ask(self, workspace: str, route: str, query: Mapping[str, str]) -> dict[str, Any] | None:
        """MLflow's answer to a GET in a workspace; None where it finds nothing there."""
        answer = await self._http.get(V2 + route, params=query, headers={WORKSPACE_HEADER: workspace})
        if answer.is_success:
            return document(answer.content)
        if answer.status_code >= 500:
            log.error("MLflow failed on GET %s: %s %s", route, answer.status_code, answer.text[:500])
            raise failure(answer.status_code)
        return None

    async def ensure_workspace(self, workspace: str) -> None:
        """Create the workspace in MLflow unless it exists. MLflow is asked once per workspace and process."""
        if workspace in self._workspaces:
            return
        async with self._creating:
            if workspace in self._workspaces:
                return
            answer = await self._http.get(f"{_WORKSPACES}/{workspace}")
            if answer.status_code == 404:
                answer = await self._http.post(_WORKSPACES, json={"name": workspace})
            if not answer.is_success and document(answer.content).get("error_code") not in EXISTS:
                log.error("workspace %s was not created: %s %s", workspace, answer.status_code, answer.text[:500])
                raise errors.TrackingDown()
            self._workspaces.add(workspace)

    async def default_experiment(self, workspace: str) -> str:
        """The id of the workspace's experiment ``Default``, which is created unless it exists."""
        headers = {WORKSPACE_HEADER: workspace}
        for _ in range(2):  # another process may create it between the two requests
            named = {"experiment_name": DEFAULT_EXPERIMENT}
            answer = await self._http.get(f"{_EXPERIMENTS}/get-by-name", params=named, headers=headers)
            if answer.is_success:
                return str(answer.json()["experiment"]["experiment_id"])
            answer = await self._http.post(f"{_EXPERIMENTS}/create", json={"name": DEFAULT_EXPERIMENT}, headers=headers)
            if answer.is_success:
                return str(answer.json()["experiment_id"])
        log.error("workspace %s has no experiment %s: %s", workspace, DEFAULT_EXPERIMENT, answer.text[:500])
        raise errors.TrackingDown()

    async def registered_models(self, workspace: str) -> set[str]:
        """The names of all registered models of a workspace."""
        names: set[str] = set()
        query = {"max_results": "1000"}
        while page := await self.ask(workspace, "/registered-models/search", query):
            names |= {model["name"] for model in page.get("registered_models", ())}
            if not (token := page.get("next_page_token")):
                break
            query["page_token"] = token
        return names
