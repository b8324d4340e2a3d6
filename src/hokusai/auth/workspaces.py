"""Workspaces: the tenants that keys belong to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from hokusai import errors
from hokusai.auth import tables
from hokusai.auth.keys import now
from hokusai.database import Database
from hokusai.identity import RESERVED_WORKSPACES, WORKSPACE_NAME, Workspace

_T = tables.workspaces


class WorkspaceStore:
    """Creates, lists, suspends and resumes. ``changed`` is called after a suspension or its end.

    Raises ``errors.Unavailable`` where the database is the cause.
    """

    def __init__(self, database: Database, *, changed: Callable[[], None]) -> None:
        self._database = database
        self._changed = changed

    async def create(self, name: str) -> Workspace:
        """Raises ``errors.WorkspaceNameInvalid`` or ``errors.WorkspaceExists``."""
        if fault := _name_fault(name):
            raise errors.WorkspaceNameInvalid(workspace=name[:100], reason=fault)
        workspace = Workspace(name, created_at=now())
        try:
            async with self._database.begin() as connection:
                await connection.execute(sa.insert(_T).values(name=name, created_at=workspace.created_at))
        except exc.IntegrityError:
            raise errors.WorkspaceExists(workspace=name) from None
        return workspace

    async def get(self, name: str) -> Workspace | None:
        if _name_fault(name):
            return None
        async with self._database.begin() as connection:
            row = (await connection.execute(sa.select(_T).where(_T.c.name == name))).one_or_none()
        return _workspace(row) if row else None

    async def page(self, *, limit: int, after: str = "") -> list[Workspace]:
        """In the order of their names, from the first one behind ``after``."""
        query = sa.select(_T).where(_T.c.name > after).order_by(_T.c.name).limit(limit)
        async with self._database.begin() as connection:
            return [_workspace(row) for row in await connection.execute(query)]

    async def suspend(self, name: str) -> Workspace | None:
        """Refuse all its keys from now on. None where there is no such workspace."""
        return await self._set(name, sa.func.coalesce(_T.c.suspended_at, sa.literal(now(), tables.Instant)))

    async def resume(self, name: str) -> Workspace | None:
        return await self._set(name, sa.null())

    async def _set(self, name: str, suspended_at: sa.ColumnElement[Any]) -> Workspace | None:
        if _name_fault(name):
            return None
        change = sa.update(_T).where(_T.c.name == name).values(suspended_at=suspended_at).returning(*_T.c)
        try:
            async with self._database.begin() as connection:
                row = (await connection.execute(change)).one_or_none()
        finally:
            self._changed()
        return _workspace(row) if row else None


def _name_fault(name: str) -> str | None:
    if name in RESERVED_WORKSPACES:
        return "the name is reserved"
    return None if WORKSPACE_NAME.fullmatch(name) else "it does not have the form of one"


def _workspace(row: sa.Row[Any]) -> Workspace:
    return Workspace(row.name, row.created_at, row.suspended_at)
