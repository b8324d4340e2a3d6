"""Workspaces, over the auth service (``/api/v1/workspaces``)."""

from __future__ import annotations

from urllib.parse import quote

from hokusai.client import values
from hokusai.client.connection import Connection
from hokusai.identity import Workspace

_WORKSPACES = "/api/v1/workspaces"


class Workspaces:
    """One workspace for each outside team. Needs an operator key."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(self, name: str) -> Workspace:
        """Raises ``ApiError`` (409) where the name is taken."""
        return self._connection.ask("POST", _WORKSPACES, values.workspace, body={"name": name})

    def list(self) -> tuple[Workspace, ...]:
        return tuple(self._connection.pages(_WORKSPACES, "workspaces", values.workspace))

    def get(self, name: str) -> Workspace:
        return self._connection.ask("GET", _path(name), values.workspace)

    def suspend(self, name: str) -> Workspace:
        """Every key of the workspace is refused until it is resumed."""
        return self._act(name, "suspend")

    def resume(self, name: str) -> Workspace:
        return self._act(name, "resume")

    def _act(self, name: str, verb: str) -> Workspace:
        return self._connection.ask("POST", f"{_path(name)}/{verb}", values.workspace, body={}, twice=True)


def _path(name: str) -> str:
    return f"{_WORKSPACES}/{quote(name, safe='')}"
