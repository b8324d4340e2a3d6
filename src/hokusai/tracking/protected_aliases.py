"""Aliases that a workspace protects: only a key with ``models:promote`` sets, moves and removes them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from hokusai import errors
from hokusai.identity import Permission
from hokusai.text import alike
from hokusai.tracking.request import TrackingRequest

#: Asks MLflow: a workspace, a route and its query. None where it finds nothing.
Ask = Callable[[str, str, Mapping[str, str]], Awaitable[dict[str, Any] | None]]

_ALIAS = "/registered-models/alias"
#: Requests after which an alias leads nowhere, or elsewhere: by deletion, and by another name of the model.
_ENDING = frozenset({"/registered-models/delete", "/registered-models/rename", "/model-versions/delete"})


class ProtectedAliases:
    """Checks the requests that can touch an alias. Raises ``errors.AliasProtected``.

    Aliases are compared as people read them (``text.alike``), so ``Production`` is protected with ``production``.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def check(self, request: TrackingRequest) -> None:
        principal = request.principal
        if not principal.protected_aliases or Permission.MODELS_PROMOTE in principal.permissions:
            return
        protected = {alike(one) for one in principal.protected_aliases}
        if request.route == _ALIAS and request.method != "GET":
            _refuse([str(request.fields.get("alias", ""))], protected)
        elif request.route in _ENDING:
            _refuse(await self._aliases(request), protected)

    async def _aliases(self, request: TrackingRequest) -> list[str]:
        """The aliases of the model; of the version, where the request is about one."""
        name = str(request.fields.get("name", ""))
        found = await self._ask(request.workspace, "/registered-models/get", {"name": name}) if name else None
        aliases = (found or {}).get("registered_model", {}).get("aliases", ())
        version = request.fields.get("version") if request.route.startswith("/model-versions/") else None
        return [one["alias"] for one in aliases if version is None or int(one["version"]) == int(version)]


def _refuse(aliases: Iterable[str], protected: set[str]) -> None:
    for alias in aliases:
        if alike(alias[:256]) in protected:
            raise errors.AliasProtected(alias=alias)
