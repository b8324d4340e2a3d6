"""What is known of each artifact: its size and SHA-256, recorded as it lands.

The order is: bytes safe, record written in a transaction, name appears, transaction committed. So

- a database that is down or takes no writes stops an upload before its name appears;
- two uploads of one path are put in one order by the row's lock: the record of the file that won wins;
- a crash between name and commit leaves a whole file with no record, or with that of the file it
  replaced. A record therefore carries its file's ``created`` and speaks for that file alone: what
  has no record of its own is served without a digest, never with a wrong one.

Recording after the name had appeared would lose the first two; committing before it would let a
record speak for bytes that never came.

Where landing is a rename, the file is counted against the workspace's quota in that very transaction.
Where it takes its time (an object store), the file is counted before the transaction begins and settled
at its end: no file waits for another one's landing. What is counted is what is recorded, whatever crashes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa

from hokusai import errors
from hokusai.artifacts.path import Place
from hokusai.artifacts.store import Stat, Written
from hokusai.database import WAIT_SECONDS, Database, Instant, metadata
from hokusai.identity import Quota, Use
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
)


_FIND = sa.select(artifacts).where(
    artifacts.c.workspace == sa.bindparam("here"), artifacts.c.path == sa.bindparam("name")
)
_THERE = (
    sa.select(*artifacts.c["workspace", "path", "size", "sha256"])
    .where(sa.tuple_(artifacts.c.workspace, artifacts.c.path).in_(sa.bindparam("keys", expanding=True)))
    .with_for_update()
)

#: Seconds a transaction has in which a file lands: object stores may take long to put its parts together.
_LANDING_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Seen:
    """What a request was judged by: the recorded digest of the file it replaces, or None."""

    sha256: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """A file that is to appear and be recorded; ``quota`` is what it counts against.

    ``appear`` is how, for ``Ledger.record``. Where ``seen`` is set, it has to be so still.
    """

    place: Place
    written: Written
    key_id: str
    quota: Quota
    seen: Seen | None = None
    appear: Callable[[], None] = lambda: None

    @property
    def use(self) -> Use:
        return Use(bytes=self.written.size, files=1)

    @property
    def row(self) -> dict[str, Any]:
        facts = {"size": self.written.size, "sha256": self.written.sha256, "created_at": self.written.created}
        return {"workspace": self.place.workspace, "path": self.place.path, "key_id": self.key_id, **facts}

    def refusal(self, old: Old | None, now: Use) -> errors.HokusaiError | None:
        """Why it may not replace what is recorded, in a workspace that uses ``now``."""
        if self.seen and self.seen.sha256 != (old.sha256 if old else None):
            return errors.ConditionFailed(header="If-Match or If-None-Match")
        return excess(now, self.use, self.quota, instead=_use(old))


@dataclass(frozen=True, slots=True)
class Old:
    """The recorded file that a new one replaces."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Record:
    """One artifact as it landed, and the key that brought it. ``sha256`` is in hexadecimal."""

    size: int
    sha256: str
    created: datetime
    key_id: str

    def speaks_for(self, stat: Stat) -> bool:
        """Whether this is the record of the very file that ``stat`` describes."""
        return self.size == stat.size and self.created == stat.created


class Ledger:
    """The table ``hokusai_artifacts``. Everything raises ``errors.DatabaseDown`` or ``DatabaseReadOnly``.

    ``landings`` has connections of its own for files that take their time to land: a slow bucket must not
    take those that everybody else waits for.
    """

    def __init__(self, database: Database, landings: Database | None = None) -> None:
        self._database = database
        self._landings = landings or database
        self._use = UseStore(database)
        upsert = database.insert(artifacts)
        facts = {name: upsert.excluded[name] for name in ("size", "sha256", "created_at", "key_id")}
        self._upsert = upsert.on_conflict_do_update(index_elements=["workspace", "path"], set_=facts)

    def record(self, arrivals: Sequence[Arrival]) -> list[errors.HokusaiError | None]:
        """Record files together, each at a place of its own, and let them ``appear``. Blocks.

        Returns for each why it did not: its refusal (``errors.TooLarge`` or ``ConditionFailed``), or what its
        ``appear`` raised; it has no record then, and the others have theirs. Only where the database fails in
        the very commit they have appeared without a record: who sent them is told to send them again.
        """
        with self._database.blocking() as connection:
            return self._record(connection, arrivals)

    @asynccontextmanager
    async def recording(self, arrival: Arrival) -> AsyncIterator[None]:
        """Record a file together with the block, which takes its time to let it appear: both, or neither.

        Raises ``errors.TooLarge`` or ``ConditionFailed`` before the block where it may not appear.
        """
        place = arrival.place
        now, size = await self.room(place)
        instead = Use() if size is None else Use(bytes=size, files=1)
        if refusal := excess(now, arrival.use, arrival.quota, instead=instead):
            raise refusal  # for a crowd that is refused, nothing is written
        async with (
            self._use.holding(place.workspace, arrival.use, instead=instead, quota=arrival.quota) as hold,
            self._landings.begin(seconds=_LANDING_SECONDS) as connection,
        ):
            async with asyncio.timeout(2 * WAIT_SECONDS):
                old = await connection.run_sync(self._replace, arrival)
            if changed := arrival.refusal(old, Use()):
                raise changed
            yield
            await connection.run_sync(partial(self._use.settle, hold=hold, replaced=_use(old)))

    async def room(self, place: Place) -> tuple[Use, int | None]:
        """What the workspace uses now, and the size of the file that an upload there would replace."""

        def room(connection: sa.Connection) -> tuple[Use, int | None]:
            replaced = connection.execute(sa.select(artifacts.c.size).where(*_at(place))).scalar()
            return self._use.read(connection, place.workspace), replaced

        return await self._database.run(room)

    async def find(self, place: Place) -> Record | None:
        rows = await self._database.rows(_FIND, {"here": place.workspace, "name": place.path})
        return next((Record(row.size, row.sha256, row.created_at, row.key_id) for row in rows), None)

    @asynccontextmanager
    async def forgetting(self, place: Place) -> AsyncIterator[int]:
        """Drop the records of a file, or of a whole directory, together with the block, which removes them at once.

        No file lands in the workspace meanwhile. Gives how many records there were.
        """

        def forget(connection: sa.Connection) -> int:
            now = self._use.lock(connection, place.workspace)
            gone = self._drop(connection, _in(place), self._at_or_below(place.path))
            self._use.set(connection, place.workspace, replaced(now, Use(), gone))
            return gone.files

        async with self._database.begin() as connection:
            yield await connection.run_sync(forget)

    async def forget(self, place: Place, *, before: datetime) -> int:
        """As ``forgetting``, after files were removed in a time of its own: only records of files made before it."""

        def forget(connection: sa.Connection) -> int:
            here = (_in(place), self._at_or_below(place.path), artifacts.c.created_at < before)
            if (gone := self._drop(connection, *here)).files:
                self._use.forget(connection, place.workspace, gone)
            return gone.files

        return await self._database.run(forget)

    def _record(self, connection: sa.Connection, arrivals: Sequence[Arrival]) -> list[errors.HokusaiError | None]:
        """Under one lock from the first look to the last count: nobody lands, deletes or counts in between."""
        uses = {name: self._use.lock(connection, name) for name in _workspaces(arrivals)}
        there = self._there(connection, [one.place for one in arrivals])
        faults: dict[Place, errors.HokusaiError] = {}
        for one in arrivals:
            workspace, old = one.place.workspace, there.get(one.place)
            if refusal := one.refusal(old, uses[workspace]):
                faults[one.place] = refusal
            else:
                uses[workspace] = replaced(uses[workspace], one.use, _use(old))
        accepted = [one for one in arrivals if one.place not in faults]
        with connection.begin_nested() as records:
            self._put(connection, accepted)
            if missing := _missing(accepted):
                records.rollback()
        for one in (one for one in accepted if one.place in missing):
            workspace, old = one.place.workspace, there.get(one.place)
            uses[workspace] = replaced(uses[workspace], _use(old), one.use)
        if missing:
            faults |= missing
            accepted = [one for one in accepted if one.place not in missing]
            self._put(connection, accepted)
        for name in _workspaces(accepted):
            self._use.set(connection, name, uses[name])
        return [faults.get(one.place) for one in arrivals]

    def _put(self, connection: sa.Connection, arrivals: Sequence[Arrival]) -> None:
        if arrivals:
            connection.execute(self._upsert, [one.row for one in arrivals])

    def _drop(self, connection: sa.Connection, *which: sa.ColumnElement[bool]) -> Use:
        sizes = connection.execute(artifacts.delete().where(*which).returning(artifacts.c.size)).scalars().all()
        return Use(bytes=sum(map(int, sizes)), files=len(sizes))

    def _there(self, connection: sa.Connection, places: Sequence[Place]) -> dict[Place, Old]:
        """The files that are recorded there. Their rows are held, where a database can."""
        keys = {(place.workspace, place.path): place for place in places}
        rows = connection.execute(_THERE, {"keys": list(keys)}).all()
        return {keys[row.workspace, row.path]: Old(int(row.size), row.sha256) for row in rows}

    def _replace(self, connection: sa.Connection, arrival: Arrival) -> Old | None:
        """Write the record, and hold its row; returns what was there.

        Deleted between two looks, it is looked for again.
        """
        row, place = arrival.row, arrival.place
        new = self._database.insert(artifacts).values(row).on_conflict_do_nothing(index_elements=["workspace", "path"])
        while connection.execute(new.returning(artifacts.c.size)).first() is None:
            if old := self._there(connection, [place]).get(place):
                connection.execute(artifacts.update().where(*_at(place)).values(row))
                return old
        return None

    def _at_or_below(self, path: str) -> sa.ColumnElement[bool]:
        """By code points, whatever the database's collation: '0' is what follows '/'."""
        column = sa.collate(artifacts.c.path, "BINARY" if self._database.is_sqlite else "C")
        return sa.or_(artifacts.c.path == path, sa.and_(column >= path + "/", column < path + "0"))


def _workspaces(arrivals: Sequence[Arrival]) -> list[str]:
    """In one order for everybody, or two transactions could wait for each other."""
    return sorted({one.place.workspace for one in arrivals})


def _missing(arrivals: Sequence[Arrival]) -> dict[Place, errors.HokusaiError]:
    """Let them appear; those that cannot, and why."""
    faults: dict[Place, errors.HokusaiError] = {}
    for one in arrivals:
        try:
            one.appear()
        except errors.HokusaiError as error:
            faults[one.place] = error
    return faults


def _use(old: Old | None) -> Use:
    return Use() if old is None else Use(bytes=old.size, files=1)


def _in(place: Place) -> sa.ColumnElement[bool]:
    return artifacts.c.workspace == place.workspace


def _at(place: Place) -> tuple[sa.ColumnElement[bool], ...]:
    return (_in(place), artifacts.c.path == place.path)
