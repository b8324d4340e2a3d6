"""The audit trail, over ``/api/v1/audit``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TypedDict, Unpack

from hokusai.client import values
from hokusai.client.connection import Connection
from hokusai.client.values import AuditRow

_AUDIT = "/api/v1/audit"
_PAGE = 1000
#: A row can appear a little later than one with a later time: two servers write at their own pace.
_OVERLAP = timedelta(seconds=15)


class AuditFilter(TypedDict, total=False):
    """Which rows; None: all."""

    workspace: str | None
    key: str | None
    user: str | None
    subject: str | None
    action: str | None
    request_id: str | None
    since: str | None
    until: str | None


class Audit:
    """Searches the audit trail: a workspace's own, or with an operator key all of it.

    Filters are ``workspace``, ``key``, ``user``, ``subject``, ``action``, ``request_id``, ``since`` and ``until``, and
    all that are given have to fit. Times are ISO 8601, or how long ago: ``2h``, ``7d``. A ``subject`` is a name
    (``churn``, ``churn/3``, ``churn@champion``, a path, an id), or with its type ``model:churn``.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(self, **which: Unpack[AuditFilter]) -> Iterator[AuditRow]:
        """Every row that fits, the oldest first, in pages."""
        query = _given(which) | {"order": "oldest", "limit": _PAGE}
        return self._connection.pages(_AUDIT, "rows", values.audit_row, query)

    def last(self, count: int, **which: Unpack[AuditFilter]) -> list[AuditRow]:
        """The newest ``count`` rows that fit, the oldest of them first."""
        found: list[AuditRow] = []
        query = _given(which) | {"limit": max(1, min(count, _PAGE))}
        pages = self._connection.pages(_AUDIT, "rows", values.audit_row, query)
        while len(found) < count and (row := next(pages, None)) is not None:
            found.append(row)
        return found[::-1]

    def follow(
        self,
        *,
        last: int = 10,
        seconds: float = 1,
        wait: Callable[[float], None] = time.sleep,
        **which: Unpack[AuditFilter],
    ) -> Iterator[AuditRow]:
        """The newest ``last`` rows, and then each that is written, without end. It asks every ``seconds``."""
        found = self.last(last, **which)
        yield from found
        newest = found[-1].at if found else None
        since = _before(newest) or "1m"
        seen = {row.id: row.at for row in self.rows(**_since(which, since))} if found else {}
        while True:
            wait(seconds)
            since = _before(newest) or since
            for row in self.rows(**_since(which, since)):
                if row.id not in seen:
                    seen[row.id] = row.at
                    newest = max(newest or row.at, row.at)
                    yield row
            if newest:
                seen = {row: at for row, at in seen.items() if at >= newest - 2 * _OVERLAP}


def _before(newest: datetime | None) -> str | None:
    return None if newest is None else (newest - _OVERLAP).isoformat()


def _since(which: AuditFilter, since: str) -> AuditFilter:
    return {**which, "since": since}


def _given(which: AuditFilter) -> dict[str, str | int]:
    return {name: str(value) for name, value in which.items() if value is not None}
