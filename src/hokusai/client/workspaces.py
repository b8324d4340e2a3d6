"""Workspaces, over the auth service (``/api/v1/workspaces``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from hokusai.client import values
from hokusai.client.connection import Connection
from hokusai.identity import Workspace

_WORKSPACES = "/api/v1/workspaces"


class Workspaces:
    """The workspaces, one for each outside team. Needs an operator key."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(self, name: str, *, protected_aliases: Iterable[str] = (), **quota: int | None) -> Workspace:
        """Arguments as in ``set``. Raises ``ApiError`` (409) where the name is or was in use."""
        body = {"name": name, **_changed(quota, tuple(protected_aliases) or None)}
        return self._connection.ask("POST", _WORKSPACES, values.workspace, body=body)

    def list(self) -> tuple[Workspace, ...]:
        return tuple(self._connection.pages(_WORKSPACES, "workspaces", values.workspace))

    def get(self, name: str) -> Workspace:
        return self._connection.ask("GET", _path(name), values.workspace)

    def set(self, name: str, *, protected_aliases: Iterable[str] | None = None, **quota: int | None) -> Workspace:
        """Set limits: ``bytes``, ``files``, ``models``, ``requests_per_hour``. None means the server's default.

        ``protected_aliases`` take the place of the earlier ones. What is not given stays as it is.
        """
        body = _changed(quota, protected_aliases)
        return self._connection.ask("PATCH", _path(name), values.workspace, body=body, idempotent=True)

    def delete(self, name: str) -> Workspace:
        """Delete it for good and revoke all its keys. Its files stay in the storage; its name is never used again."""
        return self._connection.ask("DELETE", _path(name), values.workspace, idempotent=True)

    def suspend(self, name: str) -> Workspace:
        """Refuse every key of the workspace until it is resumed."""
        return self._act(name, "suspend")

    def resume(self, name: str) -> Workspace:
        return self._act(name, "resume")

    def _act(self, name: str, verb: str) -> Workspace:
        return self._connection.ask("POST", f"{_path(name)}/{verb}", values.workspace, body={}, idempotent=True)


def _changed(quota: Mapping[str, int | None], protected_aliases: Iterable[str] | None) -> dict[str, Any]:
    aliases = {} if protected_aliases is None else {"protected_aliases": list(protected_aliases)}
    return ({"quota": dict(quota)} if quota else {}) | aliases


def _path(name: str) -> str:
    return f"{_WORKSPACES}/{quote(name, safe='')}"
