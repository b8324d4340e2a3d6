"""Workspaces, over the auth service (``/api/v1/workspaces``)."""

from __future__ import annotations

from urllib.parse import quote

from hokusai.client import values
from hokusai.client.connection import Connection
from hokusai.identity import Workspace

_WORKSPACES = "/api/v1/workspaces"


class Workspaces:
    """The workspaces, one for each outside team. Needs an operator key."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(self, name: str, **quota: int | None) -> Workspace:
        """``quota`` as in ``set``. Raises ``ApiError`` (409) where the name is or was in use."""
        body = {"name": name} | ({"quota": quota} if quota else {})
        return self._connection.ask("POST", _WORKSPACES, values.workspace, body=body)

    def list(self) -> tuple[Workspace, ...]:
        return tuple(self._connection.pages(_WORKSPACES, "workspaces", values.workspace))

    def get(self, name: str) -> Workspace:
        return self._connection.ask("GET", _path(name), values.workspace)

    def set(self, name: str, **quota: int | None) -> Workspace:
        """Set limits: ``bytes``, ``files``, ``models``, ``requests_per_hour``. None means the server's default."""
        return self._connection.ask("PATCH", _path(name), values.workspace, body={"quota": quota}, idempotent=True)

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


def _path(name: str) -> str:
    return f"{_WORKSPACES}/{quote(name, safe='')}"
