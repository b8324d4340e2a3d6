"""One place, looked at while no change of it is in progress; and its repair at that moment.

Store and ledger are compared while they change, so every difference is looked at again here. On a disk that is done
under the lock that all changes of a workspace take: a file is still on its way only where its temporary name exists,
or where it is in the trash. In a bucket no lock covers object and record. But every change has an intent, which is
committed first and ends with the record. So a look there counts only if there is no intent before and after it, and
the record is the same before and after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import sqlalchemy as sa

from hokusai.artifacts.ledger import NAMES_IN_PATH, Ledger, artifacts
from hokusai.artifacts.path import Place
from hokusai.artifacts.record import PendingRecord, Record, use_for
from hokusai.artifacts.store import ArtifactStore, Staging, Stat, Written
from hokusai.database import Database
from hokusai.identity import Quota, Use
from hokusai.quota import UseStore, pending, replaced, use

#: The key id in records that were written for files that had none.
KEY_ID = "fsck"
#: Looks at one place in a bucket, and seconds between two of them.
_LOOKS, _PAUSE = 3, 0.2
#: For a transaction that adds up all records of a workspace.
_SECONDS = 60
_COUNTED = ("bytes", "files", "names")


@dataclass(frozen=True, slots=True)
class State:
    """What is recorded and what is stored at a place, at one moment."""

    record: Record | None
    stat: Stat | None

    def is_of(self, record: Record | None, version: str | None) -> bool:
        """Whether both are what they were."""
        return self.record == record and (self.stat.version if self.stat else None) == version


class Recheck(Protocol):
    """A disk or a bucket. Everything raises ``errors.Unavailable``."""

    async def look(self, place: Place) -> State | None:
        """None while a change is in progress, or was interrupted and is not settled."""

    async def add(self, place: Place, written: Written, version: str) -> bool:
        """Record a file that is still of this ``version`` and has no record, even beyond the quota."""

    async def forget(self, place: Place, record: Record) -> bool:
        """Delete a record that is still this one, and has no file; and the directories that were left for it."""

    async def is_empty(self, directory: Place, *, remove: bool) -> bool | None:
        """Whether nothing is in a directory, and none of its files is on its way; None: it was empty and is gone."""


def recheck(store: ArtifactStore, ledger: Ledger, database: Database) -> Recheck:
    return _OnDisk(store.staging, ledger, database) if store.staging else _InBucket(store, ledger, database)


class _Unchanged(Exception):
    """Rolls back a transaction that changed nothing, so that its lock costs no write."""


class _OnDisk:
    def __init__(self, staging: Staging, ledger: Ledger, database: Database) -> None:
        self._staging = staging
        self._ledger = ledger
        self._database = database
        self._use = UseStore(database)

    async def look(self, place: Place) -> State | None:
        found: list[State | None] = []

        def look(connection: sa.Connection) -> None:
            found.append(self._look(connection, place)[1])
            raise _Unchanged

        with suppress(_Unchanged):
            await self._database.run(look)
        return found[-1]

    async def add(self, place: Place, written: Written, version: str) -> bool:
        file = PendingRecord(place, written, KEY_ID, Quota())

        def add(connection: sa.Connection, now: Use) -> None:
            connection.execute(artifacts.insert().values(file.row))
            self._use.set(connection, place.workspace, replaced(now, file.use, Use()))

        return await self._change(place, add, expected=lambda state: state.is_of(None, version))

    async def forget(self, place: Place, record: Record) -> bool:
        def forget(connection: sa.Connection, now: Use) -> None:
            at = (artifacts.c.workspace == place.workspace, artifacts.c.path == place.path)
            connection.execute(artifacts.delete().where(*at))
            self._use.set(connection, place.workspace, replaced(now, Use(), use_for(place.path, record.size)))
            self._staging.remove_empty_now(place.key.rpartition("/")[0])

        return await self._change(place, forget, expected=lambda state: state.is_of(record, None))

    async def is_empty(self, directory: Place, *, remove: bool) -> bool | None:
        found: list[bool | None] = []

        def look(connection: sa.Connection) -> None:
            self._use.lock(connection, directory.workspace)
            is_empty = not self._ledger.is_recorded(connection, directory)
            is_empty = is_empty and self._staging.is_empty_now(directory.key)
            is_gone = is_empty and remove and self._staging.remove_empty_now(directory.key)
            found.append(None if is_gone else is_empty)
            raise _Unchanged

        with suppress(_Unchanged):
            await self._database.run(look)
        return found[-1]

    async def _change(
        self, place: Place, change: Callable[[sa.Connection, Use], None], *, expected: Callable[[State], bool]
    ) -> bool:
        def run(connection: sa.Connection) -> bool:
            now, state = self._look(connection, place)
            if state is None or not expected(state):
                raise _Unchanged
            change(connection, now)
            return True

        try:
            return await self._database.run(run)
        except _Unchanged:
            return False

    def _look(self, connection: sa.Connection, place: Place) -> tuple[Use, State | None]:
        now = self._use.lock(connection, place.workspace)
        record = self._ledger.record_at(connection, place)
        found = self._staging.look_now(place.key, record.staged if record else None)
        fits = record is not None and found.stat is not None and record.describes(found.stat)
        return now, State(record, found.stat) if fits or not found.on_its_way else None


class _InBucket:
    def __init__(self, store: ArtifactStore, ledger: Ledger, database: Database) -> None:
        self._store = store
        self._ledger = ledger
        self._database = database
        self._use = UseStore(database)

    async def look(self, place: Place) -> State | None:
        for number in range(_LOOKS):
            await asyncio.sleep(_PAUSE if number else 0)
            if state := await self._look(place):
                return state
        return None

    async def add(self, place: Place, written: Written, version: str) -> bool:
        """The new row keeps uploads of this file waiting from now on; those from before have an intent."""
        file = PendingRecord(place, written, KEY_ID, Quota())
        new = self._database.insert(artifacts).values(file.row)
        new = new.on_conflict_do_nothing(index_elements=["workspace", "path"])
        try:
            async with self._database.begin(seconds=_SECONDS) as connection:
                if (await connection.execute(new.returning(artifacts.c.path))).first() is None:
                    raise _Unchanged
                if await connection.run_sync(self._use.has_intent, place.workspace, place.path):
                    raise _Unchanged
                stat = await self._store.stat(place.key)
                if stat is None or stat.version != version:
                    raise _Unchanged
                await connection.run_sync(self._count, file)
        except _Unchanged:
            return False
        return True

    async def forget(self, place: Place, record: Record) -> bool:
        return bool(await self._ledger.forget([(place, record)]))

    async def is_empty(self, directory: Place, *, remove: bool) -> bool:
        return False

    def _count(self, connection: sa.Connection, file: PendingRecord) -> None:
        now = self._use.lock(connection, file.place.workspace)
        self._use.set(connection, file.place.workspace, replaced(now, file.use, Use()))

    async def _look(self, place: Place) -> State | None:
        record = await self._ledger.find(place)
        if await self._has_intent(place):
            return None
        stat = await self._store.stat(place.key)
        if await self._has_intent(place) or await self._ledger.find(place) != record:
            return None
        return State(record, stat)

    async def _has_intent(self, place: Place) -> bool:
        return await self._database.run(partial(self._use.has_intent, workspace=place.workspace, path=place.path))


@dataclass(frozen=True, slots=True)
class Recount:
    """What a workspace's files use: as it is ``counted``, and as it ``should`` be."""

    counted: Use
    should: Use

    def __str__(self) -> str:
        wrong = [name for name in _COUNTED if getattr(self.counted, name) != getattr(self.should, name)]
        return ", ".join(
            f"{getattr(self.counted, name):,} {name} are counted, not {getattr(self.should, name):,}" for name in wrong
        )


async def recount(database: Database, workspace: str, *, repair: bool) -> Recount | None:
    """Add up all records and holds of a workspace; None where that is what is counted.

    The first time in one statement, which sees one moment. Only where that differs, and is to be repaired, again under
    the lock.
    """
    async with database.begin(seconds=_SECONDS) as connection:
        found = await connection.run_sync(partial(_recount, database, workspace=workspace))
    if found is None or not repair:
        return found
    async with database.begin(seconds=_SECONDS) as connection:
        return await connection.run_sync(partial(_correct, database, workspace=workspace))


def _correct(database: Database, connection: sa.Connection, *, workspace: str) -> Recount | None:
    use_store = UseStore(database)
    now = use_store.lock(connection, workspace)
    if found := _recount(database, connection, workspace=workspace):
        use_store.set(connection, workspace, replaced(now, found.should, found.counted))
    return found


def _recount(database: Database, connection: sa.Connection, *, workspace: str) -> Recount | None:
    if not database.is_sqlite:
        connection.execute(sa.text(f"SET LOCAL statement_timeout = '{_SECONDS}s'"))
    row = connection.execute(_SUMS, {"of": workspace}).one()
    counted, recorded, held = (Use(row[at], row[at + 1], names=row[at + 2]) for at in (0, 3, 6))
    should = replaced(recorded, held, Use())
    return None if counted == should else Recount(counted, should)


def _sums(*columns: sa.ColumnElement[int], of: sa.Column[str]) -> sa.Subquery:
    sums = (sa.cast(sa.func.coalesce(sa.func.sum(one), 0), sa.BigInteger) for one in columns)
    labelled = [one.label(name) for one, name in zip(sums, _COUNTED, strict=True)]
    return sa.select(*labelled).where(of == sa.bindparam("of")).subquery()


_HERE = _sums(use.c.bytes, use.c.files, use.c.names, of=use.c.workspace)
_RECORDED = _sums(artifacts.c.size, sa.literal_column("1"), NAMES_IN_PATH, of=artifacts.c.workspace)
_HELD = _sums(pending.c.bytes, pending.c.files, pending.c.names, of=pending.c.workspace)
_SUMS = sa.select(*_HERE.c, *_RECORDED.c, *_HELD.c).select_from(_HERE.join(_RECORDED, sa.true()).join(_HELD, sa.true()))
