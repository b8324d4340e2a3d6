"""What a workspace owns: MLflow is asked in that workspace, and its answer is kept.

MLflow's workspace stores check the run or model a request acts on. What a request merely refers to
(a logged model a metric belongs to, a run a model comes from) they take from anywhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

from cachetools import LRUCache

from hokusai.references import ResourceType

#: Asks MLflow in a workspace: route and query, answered with the document, or None where MLflow finds nothing there.
Ask = Callable[[str, str, Mapping[str, str]], Awaitable[dict[str, Any] | None]]

#: Type, workspace and id of a resource.
Place = tuple[ResourceType, str, str]


class Ownership:
    """Experiments, runs and logged models by id, registered models by name, versions and aliases.

    Which workspace an id is in never changes, so ids that were found are kept, ``remembered`` of them; names are asked
    for each time. Raises what ``ask`` raises.
    """

    def __init__(self, ask: Ask, *, remembered: int = 10_000) -> None:
        self._ask = ask
        self._roots: LRUCache[Place, str] = LRUCache(remembered)
        self._finders = {
            ResourceType.EXPERIMENT: self.experiment,
            ResourceType.RUN: self.run,
            ResourceType.LOGGED_MODEL: self.logged_model,
            ResourceType.MODEL: self.registered_model,
        }

    async def includes(self, workspace: str, type_: ResourceType, id_: str) -> bool:
        """Whether the workspace owns a resource. Raises ``KeyError`` for a type that MLflow does not keep."""
        return await self._finders[type_](workspace, id_) is not None

    async def experiment(self, workspace: str, experiment_id: str) -> str | None:
        """The root of an experiment's files; None where the workspace has no such experiment."""
        place = ResourceType.EXPERIMENT, workspace, experiment_id
        query = {"experiment_id": experiment_id}
        return await self._root(place, "/experiments/get", query, "experiment", "artifact_location")

    async def run(self, workspace: str, run_id: str) -> str | None:
        """The root of a run's files; None where the workspace has no such run."""
        place = ResourceType.RUN, workspace, run_id
        return await self._root(place, "/runs/get", {"run_id": run_id}, "run", "info", "artifact_uri")

    async def logged_model(self, workspace: str, model_id: str) -> str | None:
        """The root of a logged model's files; None where the workspace has no such model."""
        place = ResourceType.LOGGED_MODEL, workspace, model_id
        route = "/logged-models/" + quote(model_id, safe="")
        return await self._root(place, route, {}, "model", "info", "artifact_uri")

    async def registered_model(self, workspace: str, name: str) -> str | None:
        """The model's name; None where the workspace has no such model."""
        return _text(await self._ask(workspace, "/registered-models/get", {"name": name}), "registered_model", "name")

    async def version(self, workspace: str, name: str, version: str) -> str | None:
        """Where a model version's files are; None where the workspace has no such version."""
        named = {"name": name, "version": version}
        return _text(await self._ask(workspace, "/model-versions/get-download-uri", named), "artifact_uri")

    async def alias(self, workspace: str, name: str, alias: str) -> str | None:
        """The number of the version that carries an alias."""
        named = {"name": name, "alias": alias}
        return _text(await self._ask(workspace, "/registered-models/alias", named), "model_version", "version")

    async def _root(self, place: Place, route: str, query: Mapping[str, str], *way: str) -> str | None:
        if (root := self._roots.get(place)) is None:
            _, workspace, _ = place
            root = _text(await self._ask(workspace, route, query), *way)
            if root is not None:
                self._roots[place] = root
        return root


def _text(found: Any, *way: str) -> str | None:
    """The value at the end of a way into a document; None where the document or the way ends before."""
    for name in way:
        found = found.get(name) if isinstance(found, dict) else None
    return None if found is None else str(found)
