"""What stands before either MLflow: workspaces on first use, readiness, and errors in our shape."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Mapping
from typing import Any

import httpx2
from starlette.types import Message, Receive, Scope, Send

from hokusai import errors
from hokusai.identity import REQUEST_ID
from hokusai.quota import ModelQuota
from hokusai.tracking.default_experiment import NAME as DEFAULT_EXPERIMENT
from hokusai.tracking.default_experiment import DefaultExperiment
from hokusai.tracking.engine import WORKSPACE_HEADER, Engine
from hokusai.tracking.model_quota import ModelCounter
from hokusai.tracking.ownership import Ownership
from hokusai.tracking.reference_resolver import ReferenceResolver
from hokusai.tracking.request import TrackingRequest
from hokusai.tracking.rules import check

log = logging.getLogger("hokusai.tracking")

_WORKSPACES = "/api/3.0/mlflow/workspaces"
_V2 = "/api/2.0/mlflow"
_EXPERIMENTS = _V2 + "/experiments"
_ERROR_BYTES = 64 * 1024
#: What MLflow puts behind its own sentence when a statement failed: SQL, parameters, driver.
_INTERNALS = re.compile(r"\s*(?:Error:\s*)?\((?:sqlite3|psycopg\w*|builtins)\..*", re.DOTALL)
_READ_ONLY = re.compile(r"read-?only", re.IGNORECASE)
_EXISTS = frozenset({"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS", "RESOURCE_CONFLICT"})


class Tracking:
    """An ASGI app: MLflow's API for the principal's workspace."""

    def __init__(self, engine: Engine, *, models: ModelQuota, timeout: float) -> None:
        self.engine = engine
        self._counting = ModelCounter(models, self._names)
        self._made: set[str] = set()
        self._making = asyncio.Lock()
        self._default = DefaultExperiment(self._find_default)
        self._references = ReferenceResolver(Ownership(self._ask))
        transport = httpx2.ASGITransport(app=self._inner)
        self._http = httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=timeout)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = TrackingRequest.of(scope)
        check(request)
        if request.workspace not in self._made:
            await self._make(request.workspace)
        await self._default.resolve(request)
        await self._references.resolve(request)
        scope, receive = await request.written(scope, receive)

        async def call(send: Send) -> None:
            await self.engine(scope, receive, _Translated(scope, send))

        await self._counting.around(request, call, send)

    async def start(self) -> None:
        await self.engine.start()

    async def close(self) -> None:
        await self._http.aclose()
        await self.engine.close()

    async def check(self) -> None:
        """Raises an ``errors.Unavailable`` unless MLflow reads from its database."""
        await self.engine.check()

    async def _make(self, workspace: str) -> None:
        """Create the workspace in MLflow unless it is there. Once per workspace and process."""
        async with self._making:
            if workspace in self._made:
                return
            answer = await self._http.get(f"{_WORKSPACES}/{workspace}")
            if answer.status_code == 404:
                answer = await self._http.post(_WORKSPACES, json={"name": workspace})
            if not answer.is_success and _error_code(answer.content) not in _EXISTS:
                log.error("workspace %s was not made: %s %s", workspace, answer.status_code, answer.text[:500])
                raise errors.TrackingDown()
            self._made.add(workspace)

    async def _find_default(self, workspace: str) -> str:
        headers = {WORKSPACE_HEADER: workspace}
        for _ in range(2):  # somebody else may make it between the two requests
            named = {"experiment_name": DEFAULT_EXPERIMENT}
            answer = await self._http.get(f"{_EXPERIMENTS}/get-by-name", params=named, headers=headers)
            if answer.is_success:
                return str(answer.json()["experiment"]["experiment_id"])
            answer = await self._http.post(f"{_EXPERIMENTS}/create", json={"name": DEFAULT_EXPERIMENT}, headers=headers)
            if answer.is_success:
                return str(answer.json()["experiment_id"])
        log.error("workspace %s has no experiment %s: %s", workspace, DEFAULT_EXPERIMENT, answer.text[:500])
        raise errors.TrackingDown()

    async def _ask(self, workspace: str, route: str, query: Mapping[str, str]) -> dict[str, Any] | None:
        """MLflow's answer to a question in a workspace; None where it knows no such thing there."""
        answer = await self._http.get(_V2 + route, params=query, headers={WORKSPACE_HEADER: workspace})
        if answer.is_success:
            return _json(answer.content)
        if answer.status_code >= 500:
            log.error("MLflow failed on GET %s: %s %s", route, answer.status_code, answer.text[:500])
            raise _fault(answer.status_code)
        return None

    async def _names(self, workspace: str) -> set[str]:
        """All registered models of a workspace."""
        names: set[str] = set()
        query = {"max_results": "1000"}
        while page := await self._ask(workspace, "/registered-models/search", query):
            names |= {model["name"] for model in page.get("registered_models", ())}
            if not (token := page.get("next_page_token")):
                break
            query["page_token"] = token
        return names

    async def _inner(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The engine for our own calls, which act for no tenant."""
        await self.engine(scope, receive, send)


class _Translated:
    """A ``send`` that lets good answers through and raises the others as our errors."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._status = 0
        self._held = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            if self._status < 300:
                await self._send(message)
        elif self._status < 300:
            await self._send(message)
        else:
            self._held += message.get("body", b"")[: _ERROR_BYTES - len(self._held)]
            if not message.get("more_body", False):
                raise self._error()

    def _error(self) -> errors.HokusaiError:
        found = _json(bytes(self._held))
        reason = _INTERNALS.sub("", str(found.get("message", ""))).strip().rstrip(".")
        code = str(found.get("error_code", ""))
        if not reason and _READ_ONLY.search(str(found.get("message", ""))):
            log.error("MLflow's database takes no writes: %s", bytes(self._held[:500]))
            return errors.DatabaseReadOnly()
        if self._status >= 500 or self._status < 400 or not code or not reason:
            request_id = self._scope.get(REQUEST_ID)
            log.error("request %s: MLflow answered %s: %s", request_id, self._status, bytes(self._held[:2000]))
            return _fault(self._status)
        if code in _EXISTS:
            return errors.TrackingExists(reason=reason)
        kind = errors.TrackingUnknown if self._status == 404 else errors.TrackingRefused
        return kind(reason=reason, error_code=code)


def _fault(status: int) -> errors.HokusaiError:
    """MLflow says 503 where its own database failed it (``_get_managed_session_maker``, MLflow 3.17): that passes."""
    return errors.TrackingDown() if status == 503 else errors.TrackingFault()


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _error_code(body: bytes) -> str:
    return str(_json(body).get("error_code", ""))
