"""Rows of the audit trail, found by index: a page takes the same time in a million rows as in a thousand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from hokusai.actions import SubjectType
from hokusai.audit.entry import bounded
from hokusai.audit.table import trail
from hokusai.database import Database

_C = trail.c


class Position(NamedTuple):
    """A place in the order of rows: by time, and among those of one time by id."""

    at: datetime
    id: int


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows; None: all. ``until`` is excluded.

    ``subject`` is a name (``churn``, ``churn/3``, ``churn@champion``, a run's id, a path), or a type and a name
    (``model:churn``). It also finds what is within that subject: the versions and aliases of a model.
    """

    workspace: str | None = None
    key: str | None = None
    user: str | None = None
    subject: str | None = None
    action: str | None = None
    request_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A row as it is read."""

    id: int
    at: datetime
    values: Mapping[str, Any]


class AuditSearch:
    """Pages of rows. Raises ``errors.Unavailable`` where the database is the cause."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, which: Filter, *, limit: int, after: Position | None = None, oldest_first: bool = False
    ) -> list[Record]:
        """At most ``limit`` rows, the newest first or the oldest first, that come after a position in that order."""
        queries = statements(which, limit=limit, after=after, oldest_first=oldest_first)

        def find(connection: sa.Connection) -> list[sa.Row[Any]]:
            if not self._database.is_sqlite:
                # Else PostgreSQL takes a look-up of a row for so slow that it rather reads all rows, the newest first.
                connection.exec_driver_sql("SET LOCAL random_page_cost = 1.1")
            found = {row.id: row for query in queries for row in connection.execute(query)}
            return sorted(found.values(), key=lambda row: (row.at, row.id), reverse=not oldest_first)[:limit]

        return [_record(row) for row in await self._database.run(find)]


def statements(
    which: Filter, *, limit: int, after: Position | None = None, oldest_first: bool = False
) -> Sequence[sa.Select[Any]]:
    """The queries whose rows together are a page: each walks along one index in the order of the page."""
    order = (_C.at.asc(), _C.id.asc()) if oldest_first else (_C.at.desc(), _C.id.desc())
    query = sa.select(trail).where(*_conditions(which)).order_by(*order).limit(limit)
    if after is not None:
        query = query.where(*_beyond(after, oldest_first=oldest_first))
    if which.subject is None:
        return [_hinted(query, _index(which))]
    type_, name = _subject(which.subject)
    own = query.where(_C.subject == name, *([_C.subject_type == type_] if type_ else []))
    first = "workspace_" if which.workspace is not None else ""
    found = [_hinted(own, "request_id" if which.request_id else f"{first}subject_at")]
    if type_ in {None, SubjectType.MODEL, SubjectType.KEY, SubjectType.EXPERIMENT, SubjectType.RUN}:
        found.append(_hinted(query.where(_C.within == name), "request_id" if which.request_id else f"{first}within_at"))
    return found


def _conditions(which: Filter) -> list[sa.ColumnElement[bool]]:
    equal = {"workspace": _C.workspace, "key": _C.key_id, "user": _C.user_id, "action": _C.action}
    equal["request_id"] = _C.request_id
    found = [column == value for name, column in equal.items() if (value := getattr(which, name)) is not None]
    if which.since is not None:
        found.append(_C.at >= which.since)
    if which.until is not None:
        found.append(_C.at < which.until)
    return found


def _beyond(position: Position, *, oldest_first: bool) -> tuple[sa.ColumnElement[bool], ...]:
    """In two conditions, the first of which an index can use."""
    if oldest_first:
        return _C.at >= position.at, sa.or_(_C.at > position.at, _C.id > position.id)
    return _C.at <= position.at, sa.or_(_C.at < position.at, _C.id < position.id)


def _index(which: Filter) -> str:
    """The index for a filter: of what is likely to have the fewest rows."""
    if which.request_id is not None:
        return "request_id"
    if which.key is not None:
        return "key_id_at"
    if which.user is not None:
        return "user_id_at"
    if which.action is not None:
        return "workspace_action_at" if which.workspace is not None else "action_at"
    return "workspace_at" if which.workspace is not None else "at"


def _hinted(query: sa.Select[Any], index: str) -> sa.Select[Any]:
    """SQLite has no statistics of a table that was never analysed, and would choose any of several indexes."""
    return query.with_hint(trail, f"INDEXED BY ix_hokusai_audit_{index}", "sqlite")


def _subject(text: str) -> tuple[str | None, str | None]:
    type_, colon, name = text.partition(":")
    if colon and type_ in set(SubjectType):
        return type_, bounded(name)
    return None, bounded(text)


def _record(row: sa.Row[Any]) -> Record:
    values = row._asdict()
    values["details"] = json.loads(values["details"]) if values["details"] else {}
    return Record(values.pop("id"), values.pop("at"), values)
