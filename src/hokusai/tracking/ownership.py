"""What a workspace owns: asked of MLflow, in that workspace, and remembered.

MLflow's workspace stores check the run or model a request acts on. What a request merely refers to
(a logged model a metric belongs to, a run a model comes from) they take from anywhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

from cachetools import LRUCache

from hokusai import errors

#: Asks MLflow in a workspace: route and query, answered with the document, or None where MLflow knows no such thing.
Ask = Callable[[str, str, Mapping[str, str]], Awaitable[dict[str, Any] | None]]


class Ownership:
    """Runs and logged models by id, with the root of their files. Which workspace an id is in never changes."""

    def __init__(self, ask: Ask, *, remembered: int = 10_000) -> None:
        self._ask = ask
        self._roots: LRUCache[tuple[str, str], str] = LRUCache(remembered)

    async def run(self, workspace: str, run_id: str) -> str | None:
        """The root of a run's files; None where the workspace has no such run."""
        if (root := self._roots.get((workspace, run_id))) is None:
            found = await self._ask(workspace, "/runs/get", {"run_id": run_id})
            root = self._keep(workspace, run_id, _text(found, "run", "info", "artifact_uri"))
        return root

    async def logged_model(self, workspace: str, model_id: str) -> str | None:
        """The root of a logged model's files; None where the workspace has no such model."""
        if (root := self._roots.get((workspace, model_id))) is None:
            found = await self._ask(workspace, "/logged-models/" + quote(model_id, safe=""), {})
            root = self._keep(workspace, model_id, _text(found, "model", "info", "artifact_uri"))
        return root

    async def version(self, workspace: str, name: str, version: str) -> str | None:
        """Where a model version's files are; None where the workspace has no such version."""
        named = {"name": name, "version": version}
        return _text(await self._ask(workspace, "/model-versions/get-download-uri", named), "artifact_uri")

    async def alias(self, workspace: str, name: str, alias: str) -> str | None:
        """The number of the version that carries an alias."""
        named = {"name": name, "alias": alias}
        return _text(await self._ask(workspace, "/registered-models/alias", named), "model_version", "version")

    async def require(self, workspace: str, field: str, *, run: str = "", logged_model: str = "") -> None:
        """Raises ``errors.ReferenceUnknown`` unless the workspace owns what a field refers to."""
        if run and await self.run(workspace, run) is None:
            raise errors.ReferenceUnknown(resource="run", field=field)
        if logged_model and await self.logged_model(workspace, logged_model) is None:
            raise errors.ReferenceUnknown(resource="logged model", field=field)

    def _keep(self, workspace: str, id_: str, root: str | None) -> str | None:
        if root is not None:
            self._roots[workspace, id_] = root
        return root


def _text(found: Any, *way: str) -> str | None:
    """What stands at the end of a way into a document; None where the document or the way ends before."""
    for name in way:
        found = found.get(name) if isinstance(found, dict) else None
    return None if found is None else str(found)
