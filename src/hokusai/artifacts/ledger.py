"""The record of each artifact: its size and SHA-256, and what its workspace uses.

The transaction that writes a record decides whether a file is stored, and the file follows it. In which order depends
on the store.

Where a file gets its name at once (``store.Staging``, a disk):

1. The bytes are durable, under a temporary name that the record will have as ``staged``.
2. A transaction checks the quota and the conditions, writes record and use, and commits.
3. The file gets its own name, in place of an older one. A reader who finds the record before that does it, and so
   does the next start where the process was killed. Whoever replaces or deletes a record first makes sure of it.

So a transaction that fails has changed nothing, and one that commits is always carried out. A removed file is in the
trash while the transaction that deletes its record commits, and comes back where that failed.

Where that takes longer (an object store), the old object is lost as soon as the new one is there. So the transaction
comes last, and an *intent* is committed first (``quota.pending``): what will be stored, and that it counts. It ends in
the transaction that writes the record. If a crash leaves it, ``settling`` looks at the object: where it is the intended
one, its record is written; otherwise the intent is removed, and counts no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

import sqlalchemy as sa

from hokusai import audit, errors
from hokusai.actions import Action, SubjectType
from hokusai.artifacts.path import Place
from hokusai.artifacts.record import PendingRecord, Record, ReplacedFile, use_for, use_of
from hokusai.artifacts.store import Written
from hokusai.audit import Entry, Recording
from hokusai.database import WAIT_SECONDS, Database, Instant, metadata
from hokusai.identity import Quota, Use
from hokusai.quota import Hold, Intent, UseStore, excess, pending, replaced, use

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
    sa.Column("staged", sa.String(32)),
)
_IS_DAMAGED = artifacts.c.damaged.is_not(None)
sa.Index("hokusai_artifacts_damaged", artifacts.c.workspace, sqlite_where=_IS_DAMAGED, postgresql_where=_IS_DAMAGED)


#: The names in a record's path, directories and file.
NAMES_IN_PATH = (
    sa.func.length(artifacts.c.path)
    - sa.func.length(sa.func.replace(artifacts.c.path, "/", ""))
    + sa.literal_column("1")
)

#: What a record says of its file.
_FACTS = ("size", "sha256", "created_at", "key_id", "damaged", "staged")

_FIND = sa.select(artifacts).where(
    artifacts.c.workspace == sa.bindparam("here"), artifacts.c.path == sa.bindparam("name")
)
_STAGED_AS = sa.select(*artifacts.c["workspace", "path", "staged"]).where(
    artifacts.c.staged.in_(sa.bindparam("names", expanding=True))
)
_STAGED_AT = sa.select(*artifacts.c["workspace", "path", "staged"]).where(
    sa.tuple_(artifacts.c.workspace, artifacts.c.path).in_(sa.bindparam("keys", expanding=True))
)
_WORKSPACES = sa.select(
    sa.union(*(sa.select(table.c.workspace) for table in (artifacts, use, pending))).subquery().c.workspace
)
_COUNT_DAMAGED = sa.select(sa.func.count()).select_from(artifacts).where(_IS_DAMAGED)
_LOCKED = (
    sa.select(artifacts)
    .where(sa.tuple_(artifacts.c.workspace, artifacts.c.path).in_(sa.bindparam("keys", expanding=True)))
    .with_for_update()
)

#: Seconds for a transaction that waits for an object store, which may take long to assemble an object's parts.
_LONG_TRANSACTION_SECONDS = 60


#: Gives a staged file its own name (``store.Staging.settle_now``).
Settle = Callable[[str, str], bool]


class CommitInDoubt(Exception):
    """The database failed with ``error`` when it was asked to commit: it may have done so."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class _NotThere(Exception):
    """Rolls back the record of a file that is not there."""


class _Settled(_NotThere):
    """Or of one that was recorded meanwhile."""


class Deleted(NamedTuple):
    """A file whose record was deleted: its size, and the name that it may still have (``Record.staged``)."""

    place: Place
    size: int
    staged: str | None


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
        facts = {name: upsert.excluded[name] for name in _FACTS}
        self._upsert = upsert.on_conflict_do_update(index_elements=["workspace", "path"], set_=facts)

    def record(self, files: Sequence[PendingRecord], settle: Settle) -> list[ReplacedFile | errors.HokusaiError | None]:
        """Record files together, each at a place of its own. Blocks.

        Returns for each file what it replaces, or why it was not recorded: its refusal (``errors.TooLarge`` or
        ``ConditionFailed``), or what its ``prepare`` or ``settle`` raised. The other files are recorded.

        Raises ``CommitInDoubt`` where ``committed`` must tell what became of them; after other errors, none is there.
        """
        asked = False
        try:
            with self._database.blocking() as connection:
                outcomes = self._record(connection, files, settle)
                asked = True
        except Exception as error:
            if asked:
                raise CommitInDoubt(error) from error
            raise
        return outcomes

    def committed(self, staged: Mapping[Place, str]) -> set[Place]:
        """The places where the file of this name is the recorded one. Blocks.

        It waits for the end of every transaction that could change it: on SQLite a transaction that failed is over, and
        its disk may be full.
        """
        with self._database.blocking() as connection:
            if not self._database.is_sqlite:
                for name in sorted({place.workspace for place in staged}):
                    self._use.lock(connection, name)
            keys = {(place.workspace, place.path): place for place in staged}
            rows = connection.execute(_STAGED_AT, {"keys": list(keys)}).all()
            found = {keys[row.workspace, row.path]: row.staged for row in rows}
            return {place for place, name in staged.items() if found.get(place) == name}

    def withdraw(self, file: PendingRecord, instead: ReplacedFile | None) -> None:
        """Take back a record whose file could not get its name, unless another one has replaced it. Blocks."""
        with self._database.blocking() as connection:
            now = self._use.lock(connection, file.place.workspace)
            current = self._locked(connection, [file.place]).get(file.place)
            if current is None or current.staged != file.staged:
                return
            connection.execute(artifacts.delete().where(*_at(file.place)))
            if instead:
                connection.execute(artifacts.insert().values(**instead.row))
            self._use.set(connection, file.place.workspace, replaced(now, use_of(instead), file.use))

    async def staged(self, names: Sequence[str]) -> dict[str, Place]:
        """Where each of these files is recorded, by the name that it has until it gets its own."""
        rows = await self._database.rows(_STAGED_AS, {"names": list(names)}) if names else ()
        return {row.staged: Place(row.path, row.workspace, row.path) for row in rows}

    async def below(
        self, place: Place, *, after: str = "", limit: int = 1000, wait: bool = True
    ) -> Sequence[tuple[Place, Record]]:
        """The records of a file, or in a directory, in the order of their paths, a page at a time.

        Unless ``wait`` is False, it waits for the end of every transaction that could change them.
        """

        def look_up(connection: sa.Connection) -> Sequence[tuple[Place, Record]]:
            if wait and not self._database.is_sqlite:
                self._use.lock(connection, place.workspace)
            path = self._ordered_path
            query = sa.select(artifacts).where(_in(place), path > after)
            query = query.where(self._at_or_below(place.path)) if place.path else query
            rows = connection.execute(query.order_by(path).limit(limit))
            return [(Place(row.path, row.workspace, row.path), _record(row)) for row in rows]

        return await self._database.run(look_up)

    @asynccontextmanager
    async def recording(self, file: PendingRecord) -> AsyncIterator[None]:
        """Record a file after the block, which may take long to make it visible.

        Raises ``errors.TooLarge`` or ``ConditionFailed`` before the block where the file may not be stored, and
        ``OutcomeUnknown`` where it is visible and not recorded yet: its intent stays.
        """
        place = file.place
        now, size = await self.use_and_size(place)
        instead = Use() if size is None else use_for(place.path, size)
        if refusal := excess(now, file.use, file.quota, instead=instead):
            raise refusal  # without a write: many uploads may be refused at once
        counted = self._use.holding(place.workspace, file.use, instead=instead, quota=file.quota, intent=file.intent)
        async with counted as hold:
            try:
                async with self._long_transactions.begin(seconds=_LONG_TRANSACTION_SECONDS) as connection:
                    async with asyncio.timeout(2 * WAIT_SECONDS):
                        old = await connection.run_sync(self._replace, file)
                    if changed := file.refusal(old, Use()):
                        raise changed
                    with _keeping(hold):
                        yield
                    await connection.run_sync(partial(self._use.settle, hold=hold, replaced=use_of(old)))
                    await connection.run_sync(audit.write, [file.recording])
            except errors.Unavailable as error:
                if hold.visible:
                    raise errors.OutcomeUnknown() from error
                raise

    async def settle_intent(self, intent: Intent, is_there: Callable[[], Awaitable[bool]]) -> bool:
        """Record the file of an intent if ``is_there``; otherwise end the intent, once it has expired.

        Waits for the request that has the intent, where it is still running. Returns whether the file is recorded.
        """
        place = Place(intent.path, intent.hold.workspace, intent.path)
        written = Written(intent.hold.use.bytes, intent.sha256 or "", intent.created)
        file = PendingRecord(place, written, intent.key_id, Quota())
        try:
            async with self._long_transactions.begin(seconds=_LONG_TRANSACTION_SECONDS) as connection:
                old = await connection.run_sync(self._replace, file)
                if not await connection.run_sync(self._use.is_held, intent.hold):
                    raise _Settled
                if not await is_there():
                    raise _NotThere
                await connection.run_sync(partial(self._use.settle, hold=intent.hold, replaced=use_of(old)))
                await connection.run_sync(audit.write, [Recording(partial(_settled, intent))])
        except _NotThere as found:
            if intent.expired:
                await self._use.release(intent.hold)
            return isinstance(found, _Settled)
        return True

    async def use_and_size(self, place: Place) -> tuple[Use, int | None]:
        """What the workspace uses now, and the size of the file that an upload to ``place`` would replace."""

        def look_up(connection: sa.Connection) -> tuple[Use, int | None]:
            size = connection.execute(sa.select(artifacts.c.size).where(*_at(place))).scalar()
            return self._use.read(connection, place.workspace), size

        return await self._database.run(look_up)

    async def find(self, place: Place) -> Record | None:
        rows = await self._database.rows(_FIND, {"here": place.workspace, "name": place.path})
        return next(map(_record, rows), None)

    def record_at(self, connection: sa.Connection, place: Place) -> Record | None:
        """Part of the caller's transaction."""
        return next(map(_record, connection.execute(_FIND, {"here": place.workspace, "name": place.path})), None)

    def is_recorded(self, connection: sa.Connection, place: Place) -> bool:
        """Whether there is a record of a file at or below a place. Part of the caller's transaction."""
        found = sa.select(artifacts.c.path).where(_in(place), self._at_or_below(place.path)).limit(1)
        return connection.execute(found).first() is not None

    async def count(self) -> int:
        """How many files are recorded, in all workspaces."""
        return int((await self._database.rows(sa.select(sa.func.count()).select_from(artifacts)))[0][0])

    async def workspaces(self) -> Sequence[str]:
        """Those with records, with counted use, or with changes in progress."""
        return [row.workspace for row in await self._database.rows(_WORKSPACES)]

    async def find_committed(self, place: Place) -> Record | None:
        """The record, once every transaction that was changing it has ended. Waits for those, so it costs two locks.

        One after the other: whoever has one may be waiting for the other, and which of them comes first depends on the
        store.
        """

        def look_up(connection: sa.Connection) -> Record | None:
            self._locked(connection, [place])
            return self.record_at(connection, place)

        await self._database.run(partial(self._use.lock, workspace=place.workspace))
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
    async def deleting(self, place: Place, recording: Recording | None = None) -> AsyncIterator[Sequence[Deleted]]:
        """Delete the records of a file, or of a whole directory, together with the block, which removes the files.

        No file is recorded in the workspace meanwhile, so the block must be short.
        """

        def delete(connection: sa.Connection) -> Sequence[Deleted]:
            now = self._use.lock(connection, place.workspace)
            gone = self._delete(connection, _in(place), self._at_or_below(place.path))
            self._use.set(connection, place.workspace, replaced(now, Use(), _use_of_deleted(gone)))
            return gone

        async with self._database.begin() as connection:
            yield await connection.run_sync(delete)
            await connection.run_sync(audit.write, [recording])

    async def intents(self, place: Place | None = None) -> Sequence[Intent]:
        """Those of one file; without it, all that are older than a commit takes."""
        return await (self._use.intents(place.workspace, place.path) if place else self._use.intents())

    async def expired(self) -> Sequence[Hold]:
        """Intents and holds whose requests have ended without them."""
        return await self._use.expired()

    async def end(self, hold: Hold) -> None:
        """There is nothing more to do for an intent."""
        await self._use.release(hold)

    async def forget(self, files: Sequence[tuple[Place, Record]], deletion: Intent | None = None) -> int:
        """Delete the records of files that are not there, unless they were replaced; returns how many there were.

        Where there were some, the ``deletion`` that they are gone by is recorded in the trail.
        """

        def forget(connection: sa.Connection) -> int:
            found = 0
            for place, record in files:
                same = (artifacts.c.sha256 == record.sha256, artifacts.c.created_at == record.created)
                if gone := self._delete(connection, *_at(place), *same):
                    self._use.subtract(connection, place.workspace, _use_of_deleted(gone))
                    found += 1
            audit.write(connection, [Recording(partial(_settled, deletion)) if deletion and found else None])
            return found

        return await self._database.run(forget) if files else 0

    async def intend_deletion(self, place: Place, key_id: str | None = None) -> Hold:
        """Commit the intent to delete files that are stored now. Ends with ``delete``."""
        return await self._use.intend_deletion(place.workspace, place.path, key_id)

    async def delete(
        self, place: Place, hold: Hold, recording: Recording | None = None, *, removed: bool = True
    ) -> int:
        """Delete the records of files that are gone, and were stored before the intent; returns how many there were.

        It is recorded where objects were ``removed``, or there were such records: their objects may have been removed
        by a request that was killed.
        """

        def delete(connection: sa.Connection) -> int:
            old = (_in(place), self._at_or_below(place.path), artifacts.c.created_at < hold.intent["created_at"])
            gone = self._delete(connection, *old)
            self._use.settle(connection, hold, replaced=_use_of_deleted(gone))
            audit.write(connection, [recording if removed or gone else None])
            return len(gone)

        return await self._database.run(delete)

    def _record(
        self, connection: sa.Connection, files: Sequence[PendingRecord], settle: Settle
    ) -> list[ReplacedFile | errors.HokusaiError | None]:
        """One lock covers the first read and the last count: nobody records, deletes or counts in between."""
        uses = {name: self._use.lock(connection, name) for name in _workspaces(files)}
        old = self._locked(connection, [file.place for file in files])
        faults: dict[Place, errors.HokusaiError] = {}
        for file in files:
            workspace, instead = file.place.workspace, old.get(file.place)
            if refusal := file.refusal(instead, uses[workspace]) or _prepare(file, instead, settle):
                faults[file.place] = refusal
            else:
                uses[workspace] = replaced(uses[workspace], file.use, use_of(instead))
        accepted = [file for file in files if file.place not in faults]
        if accepted:
            connection.execute(self._upsert, [file.row for file in accepted])
            audit.write(connection, (file.recording for file in accepted))
        for name in _workspaces(accepted):
            self._use.set(connection, name, uses[name])
        return [faults.get(file.place) or old.get(file.place) for file in files]

    def _delete(self, connection: sa.Connection, *which: sa.ColumnElement[bool]) -> Sequence[Deleted]:
        columns = artifacts.c["workspace", "path", "size", "staged"]
        rows = connection.execute(artifacts.delete().where(*which).returning(*columns)).all()
        return [Deleted(Place(row.path, row.workspace, row.path), int(row.size), row.staged) for row in rows]

    def _locked(self, connection: sa.Connection, places: Sequence[Place]) -> dict[Place, ReplacedFile]:
        """The files that are recorded at these places. Their rows are locked, where the database has row locks."""
        keys = {(place.workspace, place.path): place for place in places}
        rows = connection.execute(_LOCKED, {"keys": list(keys)}).all()
        found = [(keys[row.workspace, row.path], row) for row in rows]
        return {place: ReplacedFile(place, row._asdict()) for place, row in found}

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

    @property
    def _ordered_path(self) -> sa.ColumnElement[str]:
        """In the order of code points, whatever the database's collation."""
        return sa.collate(artifacts.c.path, "BINARY" if self._database.is_sqlite else "C")

    def _at_or_below(self, path: str) -> sa.ColumnElement[bool]:
        """'0' follows '/'."""
        column = self._ordered_path
        return sa.or_(artifacts.c.path == path, sa.and_(column >= path + "/", column < path + "0"))


def _workspaces(files: Sequence[PendingRecord]) -> list[str]:
    """Sorted, so that all transactions lock in one order: otherwise two could wait for each other."""
    return sorted({file.place.workspace for file in files})


def _prepare(file: PendingRecord, instead: ReplacedFile | None, settle: Settle) -> errors.HokusaiError | None:
    """Under the lock: the file that is replaced has its own name, and the new one can get it."""
    try:
        if instead and instead.staged:
            settle(instead.staged, file.place.key)
        file.prepare()
    except errors.HokusaiError as error:
        return error
    return None


@contextmanager
def _keeping(hold: Hold) -> Iterator[None]:
    """The block makes the file visible, and may do so even where it fails: unless the store has refused it."""
    hold.keep = True
    try:
        yield
    except errors.HokusaiError as error:
        hold.keep = isinstance(error, errors.Unavailable)
        raise
    hold.visible = True


def _settled(intent: Intent) -> Entry:
    """The audit trail's entry for a change whose server ended before it could record it."""
    is_upload = intent.sha256 is not None
    done = "stored" if is_upload else "deleted"
    return Entry(
        at=datetime.now(UTC),
        request_id=intent.hold.id,
        address="",
        method="PUT" if is_upload else "DELETE",
        path=intent.path,
        status=0,
        seconds=0.0,
        key_id=intent.key_id or None,
        workspace=intent.hold.workspace,
        action=Action.ARTIFACT_UPLOAD if is_upload else Action.ARTIFACT_DELETE,
        subject_type=SubjectType.ARTIFACT,
        subject=intent.path,
        bytes=intent.hold.use.bytes if is_upload else None,
        details={"outcome": f"{done}, and recorded later: the server ended before"},
    )


def _use_of_deleted(gone: Sequence[Deleted]) -> Use:
    uses = [use_for(one.place.path, one.size) for one in gone]
    return Use(bytes=sum(use.bytes for use in uses), files=len(uses), names=sum(use.names for use in uses))


def _record(row: sa.Row[Any]) -> Record:
    return Record(row.size, row.sha256, row.created_at, row.key_id, row.damaged, row.staged)


def _in(place: Place) -> sa.ColumnElement[bool]:
    return artifacts.c.workspace == place.workspace


def _at(place: Place) -> tuple[sa.ColumnElement[bool], ...]:
    return (_in(place), artifacts.c.path == place.path)
