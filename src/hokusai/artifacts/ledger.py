"""The record of each artifact, its size and SHA-256, written together with the file.

The order of an upload is: bytes durable, record written in a transaction, file visible, transaction committed. So

- a database that is down or read-only stops an upload before its file becomes visible;
- two uploads of one path are ordered by the lock on the row: the record of the file that wins is the one that stays;
- a crash between "file visible" and "transaction committed" leaves a whole file without a record, or with the record
  of the file that it replaced. A record therefore carries its file's ``created`` and describes that file only. A
  file without a record of its own is served without a digest, never with a wrong one.

Recording after the file is visible would lose the first two properties. Committing before it would leave records
of files that do not exist.

Where making a file visible is a rename, the file is counted against the workspace's quota in that same transaction.
Where it takes longer (an object store), the file is counted before the transaction begins and settled at its end, so
that no upload waits for another one's commit. What is counted is what is recorded, whatever crashes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa

from hokusai import errors
from hokusai.artifacts.path import Place
from hokusai.artifacts.record import PendingRecord, Record, ReplacedFile, use_for, use_of
from hokusai.database import WAIT_SECONDS, Database, Instant, metadata
from hokusai.identity import Use
from hokusai.quota import UseStore, excess, replaced

artifacts = sa.Table(
    "hokusai_artifacts",
    metadata,
    sa.Column("workspace", sa.String(63), primary_key=True),
    sa.Column("path", sa.String(1024), primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.CHAR(64), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("key_id", sa.String(32), nullable=False),
    sa.Column("damaged", sa.String(128)),
)
_IS_DAMAGED = artifacts.c.damaged.is_not(None)
sa.Index("hokusai_artifacts_damaged", artifacts.c.workspace, sqlite_where=_IS_DAMAGED, postgresql_where=_IS_DAMAGED)


#: The names in a record's path, directories and file.
NAMES_IN_PATH = (
    sa.func.length(artifacts.c.path)
    - sa.func.length(sa.func.replace(artifacts.c.path, "/", ""))
    + sa.literal_column("1")
)

_FIND = sa.select(artifacts).where(
    artifacts.c.workspace == sa.bindparam("here"), artifacts.c.path == sa.bindparam("name")
)
_COUNT_DAMAGED = sa.select(sa.func.count()).select_from(artifacts).where(_IS_DAMAGED)
_LOCKED = (
    sa.select(*artifacts.c["workspace", "path", "size", "sha256"])
    .where(sa.tuple_(artifacts.c.workspace, artifacts.c.path).in_(sa.bindparam("keys", expanding=True)))
    .with_for_update()
)

#: Seconds for a transaction that waits for an object store, which may take long to assemble an object's parts.
_LONG_TRANSACTION_SECONDS = 60


class Ledger:
    """The table ``hokusai_artifacts``. Everything raises ``errors.DatabaseDown`` or ``DatabaseReadOnly``.

    ``long_transactions`` is a second set of connections to the same database, for transactions that wait for an
    object store: a slow bucket must not use up the connections that all other requests need.
    """

    def __init__(self, database: Database, long_transactions: Database | None = None) -> None:
        self._database = database
        self._long_transactions = long_transactions or database
        self._use = UseStore(database)
        upsert = database.insert(artifacts)
        facts = {name: upsert.excluded[name] for name in ("size", "sha256", "created_at", "key_id", "damaged")}
        self._upsert = upsert.on_conflict_do_update(index_elements=["workspace", "path"], set_=facts)

    def record(self, files: Sequence[PendingRecord]) -> list[errors.HokusaiError | None]:
        """Record files together, each at a place of its own, and ``commit`` them. Blocks.

        Returns an error for each file that was not recorded: its refusal (``errors.TooLarge`` or
        ``ConditionFailed``), or what its ``commit`` raised. The other files are recorded. Only if the database fails
        in its own commit are files visible without a record: their clients get an error, and send them again.
        """
        with self._database.blocking() as connection:
            return self._record(connection, files)

    @asynccontextmanager
    async def recording(self, file: PendingRecord) -> AsyncIterator[None]:
        """Record a file together with the block, which may take long to make it visible: both, or neither.

        Raises ``errors.TooLarge`` or ``ConditionFailed`` before the block where the file may not be stored.
        """
        place = file.place
        now, size = await self.use_and_size(place)
        instead = Use() if size is None else use_for(place.path, size)
        if refusal := excess(now, file.use, file.quota, instead=instead):
            raise refusal  # without a write: many uploads may be refused at once
        async with (
            self._use.holding(place.workspace, file.use, instead=instead, quota=file.quota) as hold,
            self._long_transactions.begin(seconds=_LONG_TRANSACTION_SECONDS) as connection,
        ):
            async with asyncio.timeout(2 * WAIT_SECONDS):
                old = await connection.run_sync(self._replace, file)
            if changed := file.refusal(old, Use()):
                raise changed
            yield
            await connection.run_sync(partial(self._use.settle, hold=hold, replaced=use_of(old)))

    async def use_and_size(self, place: Place) -> tuple[Use, int | None]:
        """What the workspace uses now, and the size of the file that an upload to ``place`` would replace."""

        def look_up(connection: sa.Connection) -> tuple[Use, int | None]:
            size = connection.execute(sa.select(artifacts.c.size).where(*_at(place))).scalar()
            return self._use.read(connection, place.workspace), size

        return await self._database.run(look_up)

    async def find(self, place: Place) -> Record | None:
        rows = await self._database.rows(_FIND, {"here": place.workspace, "name": place.path})
        return next(map(_record, rows), None)

    async def find_committed(self, place: Place) -> Record | None:
        """The record, once every transaction that was changing it has ended. Waits for those, so it costs a lock."""

        def look_up(connection: sa.Connection) -> Record | None:
            self._use.lock(connection, place.workspace)
            self._locked(connection, [place])
            return next(map(_record, connection.execute(_FIND, {"here": place.workspace, "name": place.path})), None)

        return await self._database.run(look_up)

    async def note_damage(self, place: Place, record: Record, version: str | None) -> None:
        """The stored file of this ``version`` is not the recorded one; None: the recorded one is there again."""
        same = (artifacts.c.sha256 == record.sha256, artifacts.c.created_at == record.created)
        note = sa.update(artifacts).where(*_at(place), *same).values(damaged=version)
        await self._database.run(lambda connection: connection.execute(note))

    async def damaged(self) -> int:
        """How many files were read and found not to be the recorded ones, in all workspaces."""
        return int((await self._database.rows(_COUNT_DAMAGED))[0][0])

    @asynccontextmanager
    async def deleting(self, place: Place) -> AsyncIterator[int]:
        """Delete the records of a file, or of a whole directory, together with the block, which deletes the files.

        No file is recorded in the workspace meanwhile, so the block must be short. Gives the number of records.
        """

        def delete(connection: sa.Connection) -> int:
            now = self._use.lock(connection, place.workspace)
            gone = self._delete(connection, _in(place), self._at_or_below(place.path))
            self._use.set(connection, place.workspace, replaced(now, Use(), gone))
            return gone.files

        async with self._database.begin() as connection:
            yield await connection.run_sync(delete)

    async def delete(self, place: Place, *, before: datetime) -> int:
        """Delete the records of files that were just deleted, and uploaded before the deletion began (``before``)."""

        def delete(connection: sa.Connection) -> int:
            which = (_in(place), self._at_or_below(place.path), artifacts.c.created_at < before)
            if (gone := self._delete(connection, *which)).files:
                self._use.subtract(connection, place.workspace, gone)
            return gone.files

        return await self._database.run(delete)

    def _record(self, connection: sa.Connection, files: Sequence[PendingRecord]) -> list[errors.HokusaiError | None]:
        """One lock covers the first read and the last count: nobody records, deletes or counts in between."""
        uses = {name: self._use.lock(connection, name) for name in _workspaces(files)}
        old = self._locked(connection, [file.place for file in files])
        faults: dict[Place, errors.HokusaiError] = {}
        for file in files:
            workspace = file.place.workspace
            if refusal := file.refusal(old.get(file.place), uses[workspace]):
                faults[file.place] = refusal
            else:
                uses[workspace] = replaced(uses[workspace], file.use, use_of(old.get(file.place)))
        accepted = [file for file in files if file.place not in faults]
        with connection.begin_nested() as records:
            self._put(connection, accepted)
            if failed := _commit(accepted):
                records.rollback()
        for file in (file for file in accepted if file.place in failed):
            workspace = file.place.workspace
            uses[workspace] = replaced(uses[workspace], use_of(old.get(file.place)), file.use)
        if failed:
            faults |= failed
            accepted = [file for file in accepted if file.place not in failed]
            self._put(connection, accepted)
        for name in _workspaces(accepted):
            self._use.set(connection, name, uses[name])
        return [faults.get(file.place) for file in files]

    def _put(self, connection: sa.Connection, files: Sequence[PendingRecord]) -> None:
        if files:
            connection.execute(self._upsert, [file.row for file in files])

    def _delete(self, connection: sa.Connection, *which: sa.ColumnElement[bool]) -> Use:
        gone = connection.execute(artifacts.delete().where(*which).returning(artifacts.c.size, NAMES_IN_PATH)).all()
        return Use(bytes=sum(int(row[0]) for row in gone), files=len(gone), names=sum(row[1] for row in gone))

    def _locked(self, connection: sa.Connection, places: Sequence[Place]) -> dict[Place, ReplacedFile]:
        """The files that are recorded at these places. Their rows are locked, where the database has row locks."""
        keys = {(place.workspace, place.path): place for place in places}
        rows = connection.execute(_LOCKED, {"keys": list(keys)}).all()
        found = [(keys[row.workspace, row.path], row) for row in rows]
        return {place: ReplacedFile(place, int(row.size), row.sha256) for place, row in found}

    def _replace(self, connection: sa.Connection, file: PendingRecord) -> ReplacedFile | None:
        """Write the record and lock its row; returns what it replaces.

        The loop is for a row that is deleted between the INSERT and the SELECT.
        """
        row, place = file.row, file.place
        new = self._database.insert(artifacts).values(row).on_conflict_do_nothing(index_elements=["workspace", "path"])
        while connection.execute(new.returning(artifacts.c.size)).first() is None:
            if old := self._locked(connection, [place]).get(place):
                connection.execute(artifacts.update().where(*_at(place)).values(row))
                return old
        return None

    def _at_or_below(self, path: str) -> sa.ColumnElement[bool]:
        """In the order of code points, whatever the database's collation: '0' follows '/'."""
        column = sa.collate(artifacts.c.path, "BINARY" if self._database.is_sqlite else "C")
        return sa.or_(artifacts.c.path == path, sa.and_(column >= path + "/", column < path + "0"))


def _workspaces(files: Sequence[PendingRecord]) -> list[str]:
    """Sorted, so that all transactions lock in one order: otherwise two could wait for each other."""
    return sorted({file.place.workspace for file in files})


def _commit(files: Sequence[PendingRecord]) -> dict[Place, errors.HokusaiError]:
    """Make the files visible; returns the errors of those that could not be."""
    faults: dict[Place, errors.HokusaiError] = {}
    for file in files:
        try:
            file.commit()
        except errors.HokusaiError as error:
            faults[file.place] = error
    return faults


def _record(row: sa.Row[Any]) -> Record:
    return Record(row.size, row.sha256, row.created_at, row.key_id, row.damaged)


def _in(place: Place) -> sa.ColumnElement[bool]:
    return artifacts.c.workspace == place.workspace


def _at(place: Place) -> tuple[sa.ColumnElement[bool], ...]:
    return (_in(place), artifacts.c.path == place.path)
