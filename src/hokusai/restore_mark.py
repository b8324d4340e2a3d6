"""The mark of a restore that has not finished: a table in our database, which no server starts on.

The mark is there before anything else of the restore, and goes away in the transaction that makes our tables visible,
when all else is durable. So a restore that was killed is never taken for an installation, and never for an empty place
in which a new one could begin.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import sqlalchemy as sa

from hokusai import errors

TABLE = "hokusai_restore"

_table = sa.Table(
    TABLE,
    sa.MetaData(),
    sa.Column("backup", sa.Text, nullable=False),
    sa.Column("manifest", sa.String(64), nullable=False),
    sa.Column("places", sa.Text, nullable=False),
)


@dataclass(frozen=True, slots=True)
class RestoreMark:
    """``manifest`` is the SHA-256 of the backup's manifest. ``places`` were empty when the restore began.

    They are databases and artifact stores, without user and password. What is in them is the restore's own.
    """

    backup: str
    manifest: str
    places: tuple[str, ...]


def find(connection: sa.Connection) -> RestoreMark | None:
    if not sa.inspect(connection).has_table(TABLE):
        return None
    row = connection.execute(sa.select(_table)).one()
    return RestoreMark(row.backup, row.manifest, tuple(json.loads(row.places)))


def refuse(connection: sa.Connection) -> None:
    """Raises ``errors.RestoreUnfinished`` where there is a mark."""
    if mark := find(connection):
        raise errors.RestoreUnfinished(backup=mark.backup)


def write(connection: sa.Connection, mark: RestoreMark) -> None:
    remove(connection)
    _table.create(connection)
    values = {"backup": mark.backup, "manifest": mark.manifest, "places": json.dumps(mark.places)}
    connection.execute(_table.insert().values(values))


def remove(connection: sa.Connection) -> None:
    _table.drop(connection, checkfirst=True)
