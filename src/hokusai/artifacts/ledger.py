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
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from hokusai import errors
from hokusai.artifacts.path import Place
from hokusai.artifacts.store import Stat, Written
from hokusai.database import WAIT_SECONDS, Database, metadata
from hokusai.identity import Quota, Use
from hokusai.quota import UseStore, excess, replaced

artifacts = sa.Table(
    "hokusai_artifacts",
    metadata,
    sa.Column("workspace", sa.String(63), primary_key=True),
    sa.Column("path", sa.String(1024), primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.CHAR(64), nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("key_id", sa.String(32), nullable=False),
)


_UNBOUNDED = Quota()

#: Seconds a transaction has in which a file lands: object stores may take long to put its parts together.
_LANDING_SECONDS = 60


#: A file that is to appear: where, what, who brought it, the quota it counts against, and what lets it appear.
Arrival = tuple[Place, Written, str, Quota, Callable[[], Awaitable[None]]]


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
    """The table ``hokusai_artifacts``. Everything raises ``errors.DatabaseDown`` or ``DatabaseReadOnly``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._use = UseStore(database)
        upsert = (sqlite.insert if database.is_sqlite else postgresql.insert)(artifacts)
        facts = {name: upsert.excluded[name] for name in ("size", "sha256", "created_at", "key_id")}
        self._upsert = upsert.on_conflict_do_update(index_elements=["workspace", "path"], set_=facts)

    def recording(
        self, place: Place, written: Written, key_id: str, quota: Quota = _UNBOUNDED, *, at_once: bool = True
    ) -> AbstractAsyncContextManager[None]:
        """Record an artifact together with the block, which lets it appear: both, or neither.

        ``at_once`` says that the block takes no longer than a rename. Raises ``errors.TooLarge`` before
        the block where the file would pass the quota. Only where the database fails in the very commit
        has the file appeared already; it then has no record that speaks for it, and the caller is told
        to send it again.
        """
        return (self._at_once if at_once else self._in_time)(place, written, key_id, quota)

    @asynccontextmanager
    async def _at_once(self, place: Place, written: Written, key_id: str, quota: Quota) -> AsyncIterator[None]:
        more = Use(bytes=written.size, files=1)
        async with self._database.begin() as connection:
            now = await self._use.lock(connection, place.workspace)
            instead = _one_file(await self._replace(connection, place, written, key_id))
            if refusal := excess(now, more, quota, instead=instead):
                raise refusal
            await self._use.change(connection, place.workspace, now, more=more, less=instead)
            yield

    @asynccontextmanager
    async def _in_time(self, place: Place, written: Written, key_id: str, quota: Quota) -> AsyncIterator[None]:
        now, replaced = await self.room(place)
        more, instead = Use(bytes=written.size, files=1), _one_file(replaced)
        if refusal := excess(now, more, quota, instead=instead):  # for a crowd that is refused, nothing is written
            raise refusal
        async with (
            self._use.holding(place.workspace, more, instead=instead, quota=quota) as hold,
            self._database.begin(seconds=_LANDING_SECONDS) as connection,
        ):
            async with asyncio.timeout(2 * WAIT_SECONDS):
                replaced = await self._replace(connection, place, written, key_id)
            yield
            await self._use.settle(connection, hold, replaced=_one_file(replaced))

    async def record_all(self, files: Sequence[Arrival]) -> list[errors.TooLarge | None]:
        """Record files together, each at a place of its own, and let them appear: all of them, or none.

        Returns for each its refusal, where the file would pass the quota; it is left out then. Raises what
        any ``commit`` raises; files may have appeared then, and have no record that speaks for them.
        """
        refusals: list[errors.TooLarge | None] = []
        accepted: list[Arrival] = []
        async with self._database.begin() as connection:
            workspaces = sorted({place.workspace for place, *_ in files})
            uses = {name: await self._use.lock(connection, name) for name in workspaces}
            sizes = await self._sizes(connection, [place for place, *_ in files])
            for arrival in files:
                place, written, _, quota, _ = arrival
                more, instead = Use(bytes=written.size, files=1), _one_file(sizes.get(place))
                refusal = excess(uses[place.workspace], more, quota, instead=instead)
                refusals.append(refusal)
                if refusal is None:
                    uses[place.workspace] = replaced(uses[place.workspace], more, instead)
                    accepted.append(arrival)
            if accepted:
                await connection.execute(self._upsert, [_row(*arrival[:3]) for arrival in accepted])
                for name, now in uses.items():
                    await self._use.set(connection, name, now)
                await _all(commit() for *_, commit in accepted)
        return refusals

    async def room(self, place: Place) -> tuple[Use, int | None]:
        """What the workspace uses now, and the size of the file that an upload there would replace."""
        async with self._database.begin() as connection:
            replaced = (await connection.execute(_size(place))).scalar()
            return await self._use.read(connection, place.workspace), replaced

    async def find(self, place: Place) -> Record | None:
        query = sa.select(artifacts).where(_in(place), artifacts.c.path == place.path)
        async with self._database.begin() as connection:
            row = (await connection.execute(query)).one_or_none()
        return Record(row.size, row.sha256, _aware(row.created_at), row.key_id) if row else None

    async def forget(self, place: Place, *, before: datetime) -> int:
        """Drop the records of a file, or of a whole directory, made before a moment. Returns how many there were."""
        doomed = sa.and_(_in(place), self._at_or_below(place.path), artifacts.c.created_at < before)
        async with self._database.begin() as connection:
            sizes = (await connection.execute(artifacts.delete().where(doomed).returning(artifacts.c.size))).scalars()
            gone = [int(size) for size in sizes]
            if gone:
                await self._use.forget(connection, place.workspace, Use(bytes=sum(gone), files=len(gone)))
        return len(gone)

    async def _sizes(self, connection: AsyncConnection, places: Sequence[Place]) -> dict[Place, int]:
        """The sizes of the files that are recorded there. Their rows are held, where a database can."""
        keys = {(place.workspace, place.path): place for place in places}
        query = sa.select(artifacts.c.workspace, artifacts.c.path, artifacts.c.size).with_for_update()
        query = query.where(sa.tuple_(artifacts.c.workspace, artifacts.c.path).in_(list(keys)))
        return {keys[row.workspace, row.path]: int(row.size) for row in await connection.execute(query)}

    async def _replace(self, connection: AsyncConnection, place: Place, written: Written, key_id: str) -> int | None:
        """Write the record, and hold its row; returns the size of the one that was there.

        Deleted between two looks, it is looked for again.
        """
        insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
        facts = {"size": written.size, "sha256": written.sha256, "created_at": written.created, "key_id": key_id}
        new = insert(artifacts).values(workspace=place.workspace, path=place.path, **facts)
        new = new.on_conflict_do_nothing(index_elements=["workspace", "path"])
        here = (_in(place), artifacts.c.path == place.path)
        while (await connection.execute(new.returning(artifacts.c.size))).first() is None:
            old = (await connection.execute(_size(place).with_for_update())).scalar()
            if old is not None:
                await connection.execute(artifacts.update().where(*here).values(facts))
                return int(old)
        return None

    def _at_or_below(self, path: str) -> sa.ColumnElement[bool]:
        """By code points, whatever the database's collation: '0' is what follows '/'."""
        column = sa.collate(artifacts.c.path, "BINARY" if self._database.is_sqlite else "C")
        return sa.or_(artifacts.c.path == path, sa.and_(column >= path + "/", column < path + "0"))


def _row(place: Place, written: Written, key_id: str) -> dict[str, Any]:
    return {
        "workspace": place.workspace,
        "path": place.path,
        "size": written.size,
        "sha256": written.sha256,
        "created_at": written.created,
        "key_id": key_id,
    }


async def _all(calls: Iterable[Awaitable[None]]) -> None:
    """Every call comes to its end; then the first failure is raised."""
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


def _one_file(size: int | None) -> Use:
    return Use() if size is None else Use(bytes=size, files=1)


def _size(place: Place) -> sa.Select[Any]:
    return sa.select(artifacts.c.size).where(_in(place), artifacts.c.path == place.path)


def _in(place: Place) -> sa.ColumnElement[bool]:
    return artifacts.c.workspace == place.workspace


def _aware(moment: Any) -> datetime:
    """SQLite keeps no zone; what was written was UTC."""
    at: datetime = moment
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
