"""The keys that a key has made, those that these have made, and so on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hokusai.auth import tables
from hokusai.database import Instant

_T = tables.keys
#: Keys that one statement names: databases limit the parameters of a statement.
_AT_ONCE = 500


class Descendants:
    """Queries in one transaction; ``workspace`` None: in every workspace.

    Generations are taken from the oldest on. A key that makes another one holds its own row meanwhile
    (``KeyStore.create``), so once a generation is revoked, the next one is complete.
    """

    def __init__(self, connection: sa.Connection, workspace: str | None) -> None:
        self._connection = connection
        self._here = () if workspace is None else (_T.c.workspace == workspace,)

    def find(self, key_id: str) -> Iterator[sa.Row[Any]]:
        """All of them, whatever their state."""
        for generation in self._generations(key_id):
            yield from generation

    def revoke(self, key_id: str, at: datetime) -> list[sa.Row[Any]]:
        """Revoke them all; returns those that were not revoked before, as they are now."""
        found: list[sa.Row[Any]] = []
        for generation in self._generations(key_id):
            for ids in _parts([row.id for row in generation]):
                which = (_T.c.id.in_(ids), _T.c.revoked_at.is_(None))
                change = sa.update(_T).where(*which).values(revoked_at=sa.literal(at, Instant))
                found += self._connection.execute(change.returning(*_T.c)).all()
        return found

    def _generations(self, key_id: str) -> Iterator[Sequence[sa.Row[Any]]]:
        seen = {key_id}
        makers = [key_id]
        while makers:
            children = [row for ids in _parts(makers) for row in self._made_by(ids) if row.id not in seen]
            if children:
                yield children
            makers = [row.id for row in children]
            seen.update(makers)

    def _made_by(self, ids: Sequence[str]) -> Sequence[sa.Row[Any]]:
        query = sa.select(_T).where(_T.c.created_by.in_(ids), *self._here).order_by(_T.c.created_at, _T.c.id)
        return self._connection.execute(query).all()


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _AT_ONCE):
        yield ids[start : start + _AT_ONCE]
