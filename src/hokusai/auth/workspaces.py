"""Workspaces: the tenants that keys belong to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from hokusai import errors
from hokusai.auth import tables
from hokusai.auth.keys import now
from hokusai.database import Database, Instant
from hokusai.identity import RESERVED_WORKSPACES, WORKSPACE_NAME, Workspace

_T = tables.workspaces
_K = tables.keys

#: New values for fields of ``identity.Quota``; None is the server's default.
Quotas = Mapping[str, int | None]


class WorkspaceStore:
    """Creates, lists, limits, suspends, resumes and deletes. ``changed`` is called when it affects keys.

    The name of a deleted workspace is never reused: every change of it raises ``errors.WorkspaceDeleted``.
    Everything raises ``errors.Unavailable`` where the database is the cause.
    """

    def __init__(self, database: Database, *, changed: Callable[[], None]) -> None:
        self._database = database
        self._changed = changed

    async def create(self, name: str, quota: Quotas | None = None, protected_aliases: Sequence[str] = ()) -> Workspace:
        """Raises ``errors.WorkspaceNameInvalid``, ``WorkspaceExists`` or ``WorkspaceDeleted``."""
        if fault := _name_fault(name):
            raise errors.WorkspaceNameInvalid(workspace=name[:100], reason=fault)
        row = {"name": name, "created_at": now(), **_columns(quota or {}), **_aliases(protected_aliases)}
        try:
            async with self._database.begin() as connection:
                made = (await connection.execute(sa.insert(_T).values(row).returning(*_T.c))).one()
        except exc.IntegrityError:
            _alive(await self.get(name))
            raise errors.WorkspaceExists(workspace=name) from None
        return _workspace(made)

    async def get(self, name: str) -> Workspace | None:
        if _name_fault(name):
            return None
        rows = await self._database.rows(sa.select(_T).where(_T.c.name == name))
        return _workspace(rows[0]) if rows else None

    async def page(self, *, limit: int, after: str = "") -> list[Workspace]:
        """In the order of their names, beginning after ``after``, including the deleted ones."""
        query = sa.select(_T).where(_T.c.name > after).order_by(_T.c.name).limit(limit)
        return [_workspace(row) for row in await self._database.rows(query)]

    async def suspend(self, name: str) -> Workspace | None:
        """Refuse all its keys from now on. None where there is no such workspace."""
        return await self._set(name, suspended_at=sa.func.coalesce(_T.c.suspended_at, _now()))

    async def resume(self, name: str) -> Workspace | None:
        return await self._set(name, suspended_at=sa.null())

    async def set(self, name: str, quota: Quotas, protected_aliases: Sequence[str] | None = None) -> Workspace | None:
        """Set the fields in ``quota``, and the protected aliases unless they are None; leave the others."""
        aliases = {} if protected_aliases is None else _aliases(protected_aliases)
        return await self._set(name, **_columns(quota), **aliases)

    async def delete(self, name: str) -> Workspace | None:
        """End it and revoke its keys, at once. What it has stored stays. May be called twice."""
        if _name_fault(name):
            return None
        end = sa.update(_T).where(_T.c.name == name).values(deleted_at=sa.func.coalesce(_T.c.deleted_at, _now()))
        revoke = sa.update(_K).where(_K.c.workspace == name, _K.c.revoked_at.is_(None)).values(revoked_at=_now())
        try:
            async with self._database.begin() as connection:
                row = (await connection.execute(end.returning(*_T.c))).one_or_none()
                await connection.execute(revoke)
        finally:
            self._changed()
        return _workspace(row) if row else None

    async def _set(self, name: str, **values: Any) -> Workspace | None:
        if _name_fault(name):
            return None
        change = sa.update(_T).where(_T.c.name == name, _T.c.deleted_at.is_(None)).values(name=name, **values)
        try:
            async with self._database.begin() as connection:
                row = (await connection.execute(change.returning(*_T.c))).one_or_none()
        finally:
            self._changed()
        return _workspace(row) if row else _alive(await self.get(name))


def _alive(found: Workspace | None) -> Workspace | None:
    if found is not None and found.deleted_at is not None:
        raise errors.WorkspaceDeleted(workspace=found.name)
    return found


def _columns(quota: Quotas) -> dict[str, int | None]:
    return {tables.QUOTA[field].name: value for field, value in quota.items()}


def _aliases(protected: Sequence[str]) -> dict[str, str]:
    return {"protected_aliases": " ".join(dict.fromkeys(protected))}


def _now() -> sa.ColumnElement[Any]:
    return sa.literal(now(), Instant)


def _name_fault(name: str) -> str | None:
    if name in RESERVED_WORKSPACES:
        return "the name is reserved"
    return None if WORKSPACE_NAME.fullmatch(name) else "it is not a valid name"


def _workspace(row: sa.Row[Any]) -> Workspace:
    return Workspace(
        name=row.name,
        created_at=row.created_at,
        suspended_at=row.suspended_at,
        deleted_at=row.deleted_at,
        quota=tables.quota(row),
        protected_aliases=tables.protected_aliases(row),
    )
