"""What each workspace uses now, exact for any number of threads, processes and replicas.

Each workspace has one row, changed in short transactions that lock it first: no lock is held while a file or MLflow
is waited for. A file that takes long to commit is counted before it is committed (a *hold*), with a row of its own
that expires: after a crash, the next hold in that workspace gives the expired ones back.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa

from hokusai import errors
from hokusai.database import Database, Instant, metadata
from hokusai.identity import NAMES, Quota, Use

use = sa.Table(
    "hokusai_use",
    metadata,
    sa.Column("workspace", sa.String(63), primary_key=True),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("files", sa.BigInteger, nullable=False),
    sa.Column("models", sa.BigInteger, nullable=False),
    sa.Column("models_counted_at", Instant),
    sa.Column("tracking_bytes", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("names", sa.BigInteger, nullable=False, server_default="0"),
)

#: Holds: files that are being committed and are counted in ``use`` already, until they are recorded or expire. Where
#: ``path`` is set, a hold is an *intent*: it says what its file will be. Without ``sha256`` it is a deletion.
pending = sa.Table(
    "hokusai_pending",
    metadata,
    sa.Column("workspace", sa.String(63), primary_key=True),
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("files", sa.BigInteger, nullable=False),
    sa.Column("until", Instant, nullable=False),
    sa.Column("names", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("path", sa.String(1024)),
    sa.Column("sha256", sa.CHAR(64)),
    sa.Column("created_at", Instant),
    sa.Column("key_id", sa.String(32)),
)

#: The registered models that are counted, by name. The models themselves are in MLflow's tables.
models = sa.Table(
    "hokusai_models",
    metadata,
    sa.Column("workspace", sa.String(63), primary_key=True),
    sa.Column("name", sa.String(256), primary_key=True),
    sa.Column("claimed_at", Instant, nullable=False),
)


#: What ``UseStore.set`` writes for the workspace ``of``.
_SET = (
    sa.update(use)
    .where(use.c.workspace == sa.bindparam("of"))
    .values({name: sa.bindparam(name) for name in ("bytes", "files", "models", "names")})
)

NOTHING = Use()
#: When a hold expires: many times as long as a commit may take.
HOLD_LIFETIME = timedelta(minutes=5)
#: Few commits take longer: an intent that is older may be of a request that was killed.
_COMMIT_TIME = timedelta(seconds=10)


@dataclass(slots=True)
class Hold:
    """What is counted as used for a file that is being committed. ``intent`` is what its row says of the file.

    ``keep``: what becomes of the file is decided later, so it stays counted where the block fails. ``visible``: the
    file has its name.
    """

    id: str
    workspace: str
    use: Use
    intent: Mapping[str, Any] = field(default_factory=dict)
    keep: bool = False
    visible: bool = False


@dataclass(frozen=True, slots=True)
class Intent:
    """A file that was going to be stored, or deleted where ``sha256`` is None: the request may have been killed."""

    hold: Hold
    path: str
    sha256: str | None
    created: datetime
    key_id: str
    expired: bool


class UseStore:
    """Reads and changes ``hokusai_use``. Raises ``errors.Unavailable`` where the database is the cause.

    A method that takes a connection is part of its caller's transaction.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        lock = database.insert(use).values(bytes=0, files=0, models=0)
        lock = lock.on_conflict_do_update(index_elements=["workspace"], set_={"bytes": use.c.bytes})
        self._lock = lock.returning(*use.c)

    async def of(self, workspace: str) -> Use:
        return await self._database.run(partial(self.read, workspace=workspace))

    def read(self, connection: sa.Connection, workspace: str) -> Use:
        """Without expired holds, which the next ``holding`` gives back."""
        row = connection.execute(sa.select(use).where(use.c.workspace == workspace)).one_or_none()
        rows = connection.execute(sa.select(pending).where(*_expired(workspace))).all()
        return _sum(_use(row), -1, _files(rows)) if row else Use()

    @asynccontextmanager
    async def holding(
        self, workspace: str, added: Use, *, instead: Use, quota: Quota, intent: Mapping[str, Any] | None = None
    ) -> AsyncIterator[Hold]:
        """Count ``added``, which will replace ``instead``, while the block commits it and calls ``settle``.

        Raises ``errors.TooLarge`` where it exceeds the quota. Counted no longer where the block raises, unless it has
        set ``Hold.keep``.
        """
        hold = Hold(secrets.token_hex(16), workspace, added, intent or {})
        await self._database.run(partial(self._hold, hold=hold, instead=instead, quota=quota))
        try:
            yield hold
        except BaseException:
            if not hold.keep:
                with contextlib.suppress(errors.HokusaiError):  # otherwise the hold expires
                    await self.release(hold)
            raise

    async def release(self, hold: Hold) -> None:
        """Count it no longer. May be called twice."""
        await self._database.run(partial(self._release, hold=hold))

    async def intents(self, workspace: str | None = None, path: str | None = None) -> Sequence[Intent]:
        """Those of one file, or all that are older than a commit takes."""
        late = datetime.now(UTC) + HOLD_LIFETIME - _COMMIT_TIME
        which = _intended(workspace, path) if workspace else (pending.c.path.is_not(None), pending.c.until < late)
        rows = await self._database.rows(sa.select(pending).where(*which).order_by(pending.c.until).limit(1000))
        return [_intent(row) for row in rows]

    async def expired(self) -> Sequence[Hold]:
        """Those of requests that have ended without ``settle`` and ``release``; the path is in ``intent``."""
        query = sa.select(pending).where(pending.c.until < datetime.now(UTC)).order_by(pending.c.until).limit(1000)
        return [
            Hold(row.id, row.workspace, _files([row]), {"path": row.path}) for row in await self._database.rows(query)
        ]

    async def intend_deletion(self, workspace: str, path: str, key_id: str | None = None) -> Hold:
        """An intent that counts nothing: files at or below ``path``, stored before now, will be deleted."""
        intent = {"path": path, "created_at": datetime.now(UTC), "key_id": key_id}
        hold = Hold(secrets.token_hex(16), workspace, Use(), intent, keep=True)
        await self._database.run(partial(self._hold, hold=hold, instead=NOTHING, quota=Quota()))
        return hold

    def settle(self, connection: sa.Connection, hold: Hold, *, replaced: Use) -> None:
        """The held file is stored from now on, and ``replaced`` is gone. In the transaction that records it."""
        now = self.lock(connection, hold.workspace)
        gone = connection.execute(pending.delete().where(*_held(hold))).rowcount
        now = now if gone else _sum(now, 1, hold.use)  # it had expired, and was given back
        self.set(connection, hold.workspace, _sum(now, -1, replaced))

    def has_intent(self, connection: sa.Connection, workspace: str, path: str) -> bool:
        """Whether a request stores or deletes this file, or a directory above it."""
        names = path.split("/")
        at = ["/".join(names[:count]) for count in range(1, len(names) + 1)]
        which = (pending.c.workspace == workspace, pending.c.path.in_(at))
        return connection.execute(sa.select(pending.c.id).where(*which).limit(1)).first() is not None

    def is_held(self, connection: sa.Connection, hold: Hold) -> bool:
        return connection.execute(sa.select(pending.c.id).where(*_held(hold))).first() is not None

    def subtract(self, connection: sa.Connection, workspace: str, gone: Use) -> None:
        """Stop counting what was deleted: the last statement of the transaction that deletes it."""
        self.set(connection, workspace, _sum(self.lock(connection, workspace), -1, gone))

    def lock(self, connection: sa.Connection, workspace: str) -> Use:
        """Let nobody else change this workspace's use until the caller's transaction ends. Returns the use.

        On SQLite only a write locks, so this is one.
        """
        return _use(connection.execute(self._lock, {"workspace": workspace}).one())

    def set(self, connection: sa.Connection, workspace: str, now: Use) -> None:
        """After ``lock``. An older server beside this one does not count names, so they may come out too low."""
        counts = {"bytes": now.bytes, "files": now.files, "models": now.models, "names": max(0, now.names)}
        connection.execute(_SET, {"of": workspace, **counts})

    def _hold(self, connection: sa.Connection, *, hold: Hold, instead: Use, quota: Quota) -> None:
        now = self.lock(connection, hold.workspace)
        now = _sum(now, -1, self._expired(connection, hold.workspace))
        if refusal := excess(now, hold.use, quota, instead=instead):
            raise refusal
        row = {"workspace": hold.workspace, "id": hold.id, "until": datetime.now(UTC) + HOLD_LIFETIME}
        connection.execute(pending.insert().values(**row, **_counts(hold.use), **hold.intent))
        self.set(connection, hold.workspace, _sum(now, 1, hold.use))

    def _expired(self, connection: sa.Connection, workspace: str) -> Use:
        """Remove expired holds, and return what they counted."""
        expired = pending.delete().where(*_expired(workspace)).returning(*pending.c["bytes", "files", "names"])
        return _files(connection.execute(expired).all())

    def _release(self, connection: sa.Connection, hold: Hold) -> None:
        now = self.lock(connection, hold.workspace)
        if connection.execute(pending.delete().where(*_held(hold))).rowcount:
            self.set(connection, hold.workspace, _sum(now, -1, hold.use))


def excess(now: Use, added: Use, quota: Quota, *, instead: Use = NOTHING) -> errors.TooLarge | None:
    """The refusal where ``added``, in place of ``instead``, would exceed the quota. Adding nothing is never refused."""
    more = _sum(added, -1, instead)
    if quota.bytes is not None and more.bytes > 0 and now.bytes + now.tracking_bytes + more.bytes > quota.bytes:
        left = max(0, quota.bytes - now.bytes - now.tracking_bytes)
        return errors.BytesQuotaExceeded(limit=quota.bytes, left=left, needed=more.bytes)
    if quota.files is not None and more.files > 0 and now.files + more.files > quota.files:
        return errors.FilesQuotaExceeded(limit=quota.files, left=max(0, quota.files - now.files))
    if quota.files is not None and more.names > 0 and now.names + more.names > NAMES * quota.files:
        return errors.NamesQuotaExceeded(limit=NAMES * quota.files, left=max(0, NAMES * quota.files - now.names))
    if quota.models is not None and more.models > 0 and now.models + more.models > quota.models:
        return errors.ModelsQuotaExceeded(limit=quota.models, left=max(0, quota.models - now.models))
    return None


def replaced(now: Use, added: Use, instead: Use) -> Use:
    """What is used once ``added`` has taken the place of ``instead``."""
    return _sum(_sum(now, 1, added), -1, instead)


#: Bytes that a process counts at a time for a workspace's small requests to MLflow.
_BLOCK = 64 << 10


@dataclass(slots=True)
class _Block:
    """What this process has counted for a workspace and nobody has used yet, under that limit of its quota."""

    left: int = 0
    limit: int | None = None
    refill: asyncio.Lock = field(default_factory=asyncio.Lock)


class TrackingQuota:
    """Counts the bytes that requests store in MLflow's tables, against the quota that files count against.

    Counting each request in the database would cost every one of them a transaction. So a process counts a block in
    advance, in one statement that is exact for any number of processes, and its requests take from it. What is left
    of a block is counted although nothing is stored: 64 KiB for each process and workspace at most, given back when
    the process ends. The last bytes of a quota are counted one request at a time.

    ``max_bytes`` is the server's default. ``on_stored`` is called with the bytes of each request.
    """

    def __init__(
        self, database: Database, *, max_bytes: int | None, on_stored: Callable[[int], None] = lambda size: None
    ) -> None:
        self._database = database
        self._default = Quota(bytes=max_bytes)
        self._on_stored = on_stored
        self._use = UseStore(database)
        self._blocks: dict[str, _Block] = {}

    @asynccontextmanager
    async def storing(self, workspace: str, size: int, limit: int | None = None) -> AsyncIterator[None]:
        """Count ``size`` bytes while the block has MLflow store them: no longer where MLflow refuses them (4xx).

        Raises ``errors.TrackingBytesExceeded``. After an outage nobody knows what was stored: it stays counted.
        """
        quota = Quota(bytes=limit).over(self._default)
        block = self._blocks.setdefault(workspace, _Block(limit=quota.bytes))
        if block.limit == quota.bytes and block.left >= size:
            block.left -= size
        else:
            await self._refill(workspace, block, size, quota.bytes)
        try:
            yield
        except errors.HokusaiError as error:
            if error.status < 500:
                await self._give_back(workspace, block, size)
            raise
        self._on_stored(size)

    async def close(self) -> None:
        """Count what is left of the blocks no longer."""
        blocks, self._blocks = self._blocks, {}
        for workspace, block in blocks.items():
            if block.left:
                with contextlib.suppress(errors.HokusaiError):  # then it stays counted
                    await self._database.run(partial(self._subtract, workspace=workspace, size=block.left))

    async def _refill(self, workspace: str, block: _Block, size: int, limit: int | None) -> None:
        """Take ``size`` bytes from a new block, or count just these."""
        async with block.refill:
            if block.limit == limit and block.left >= size:  # refilled for another request meanwhile
                block.left -= size
                return
            old, block.left, block.limit = block.left, 0, limit
            try:
                counted = await self._database.run(
                    partial(self._count, workspace=workspace, size=size, limit=limit, instead=old)
                )
            except BaseException:
                block.left += old
                raise
            if isinstance(counted, errors.TrackingBytesExceeded):
                raise counted
            block.left += counted - size

    def _count(
        self, connection: sa.Connection, *, workspace: str, size: int, limit: int | None, instead: int
    ) -> int | errors.TrackingBytesExceeded:
        """How many bytes are counted now, in place of ``instead``; or the refusal."""
        if instead:
            self._subtract(connection, workspace=workspace, size=instead)
        for counted in dict.fromkeys((max(size, _BLOCK), size)):
            if self._add(connection, workspace, counted, limit):
                return counted
        now = self._use.read(connection, workspace)
        left = max(0, (limit or 0) - now.bytes - now.tracking_bytes)
        return errors.TrackingBytesExceeded(limit=limit or 0, left=left, needed=size)

    def _add(self, connection: sa.Connection, workspace: str, size: int, limit: int | None) -> bool:
        """One statement, which waits for whoever is changing the row, and looks at what they have written."""
        if limit is not None and size > limit:
            return False
        new = self._database.insert(use).values(workspace=workspace, bytes=0, files=0, models=0, tracking_bytes=size)
        after = use.c.tracking_bytes + size
        statement = new.on_conflict_do_update(
            index_elements=["workspace"],
            set_={"tracking_bytes": after},
            where=None if limit is None else use.c.bytes + after <= limit,
        )
        return connection.execute(statement.returning(use.c.workspace)).first() is not None

    def _subtract(self, connection: sa.Connection, *, workspace: str, size: int) -> None:
        less = sa.update(use).where(use.c.workspace == workspace)
        connection.execute(less.values(tracking_bytes=use.c.tracking_bytes - size))

    async def _give_back(self, workspace: str, block: _Block, size: int) -> None:
        """To the block; a large piece, to the workspace."""
        if block.left + size <= 2 * _BLOCK:
            block.left += size
            return
        with contextlib.suppress(errors.HokusaiError):  # then it stays counted
            await self._database.run(partial(self._subtract, workspace=workspace, size=size))


class ModelQuota:
    """Counts registered models, which are in MLflow's database, by a claim on each name.

    ``max_models`` is the server's default. Around ``registered-models/create``::

        if await models.is_due(workspace):  # never counted, or not for a day
            await models.reconcile(workspace, names_in_mlflow)
        claimed = await models.claim(workspace, name, principal.quota.models)
        if isinstance(claimed, errors.ModelsQuotaExceeded):
            raise claimed
        answer = …  # MLflow's
        if claimed and answer.status in {400, 403, 404}:
            await models.release(workspace, name)

    A claim is released only after an answer that means that the model was *not* created. After an outage nobody
    knows: the claim stays, the same request may be sent again under it, and ``reconcile`` removes what is left over.
    Call ``release`` after ``registered-models/delete``, and ``rename`` after ``registered-models/rename``.
    """

    def __init__(self, database: Database, *, max_models: int | None) -> None:
        self._database = database
        self._default = Quota(models=max_models)
        self._use = UseStore(database)

    async def claim(self, workspace: str, name: str, limit: int | None = None) -> bool | errors.TooLarge:
        """True: newly counted; False: counted before; or the refusal. ``limit`` None is the server's default."""
        quota = Quota(models=limit).over(self._default)

        def claim(connection: sa.Connection) -> bool | errors.TooLarge:
            now = self._use.lock(connection, workspace)
            if not self._insert(connection, workspace, name):
                return False
            if refusal := excess(now, Use(models=1), quota):
                connection.execute(models.delete().where(*_named(workspace, name)))
                return refusal
            self._use.set(connection, workspace, _sum(now, 1, Use(models=1)))
            return True

        return await self._database.run(claim)

    async def release(self, workspace: str, name: str) -> None:
        """The model is gone. May be called twice."""

        def release(connection: sa.Connection) -> None:
            now = self._use.lock(connection, workspace)
            gone = connection.execute(models.delete().where(*_named(workspace, name))).rowcount
            self._use.set(connection, workspace, _sum(now, -1, Use(models=gone)))

        await self._database.run(release)

    async def rename(self, workspace: str, old: str, new: str) -> None:
        """The model has another name. It counts once, whatever was counted before."""

        def rename(connection: sa.Connection) -> None:
            now = self._use.lock(connection, workspace)
            gone = connection.execute(models.delete().where(*_named(workspace, old))).rowcount
            made = self._insert(connection, workspace, new)
            self._use.set(connection, workspace, _sum(now, 1, Use(models=made - gone)))

        await self._database.run(rename)

    async def is_due(self, workspace: str, *, every: timedelta = timedelta(days=1)) -> bool:
        """Whether ``reconcile`` was never called for the workspace, or not in the last ``every``."""
        query = sa.select(use.c.models_counted_at).where(use.c.workspace == workspace)
        counted = next((row.models_counted_at for row in await self._database.rows(query)), None)
        return counted is None or datetime.now(UTC) - counted > every

    async def reconcile(
        self, workspace: str, names: Collection[str], *, grace: timedelta = timedelta(minutes=5)
    ) -> None:
        """Count exactly ``names``, which exist in MLflow, and claims younger than ``grace``, whose model may come.

        A model that exists is counted even beyond the quota.
        """
        await self._database.run(partial(self._reconcile, workspace=workspace, names=names, grace=grace))

    def _reconcile(
        self, connection: sa.Connection, *, workspace: str, names: Collection[str], grace: timedelta
    ) -> None:
        now = datetime.now(UTC)
        self._use.lock(connection, workspace)
        here = models.c.workspace == workspace
        claimed = {row.name: row for row in connection.execute(sa.select(models).where(here))}
        gone = [name for name, row in claimed.items() if name not in names and now - row.claimed_at > grace]
        missing = [{"workspace": workspace, "name": name, "claimed_at": now} for name in {*names} - {*claimed}]
        if gone:
            one_gone = models.delete().where(here, models.c.name == sa.bindparam("gone"))
            connection.execute(one_gone, [{"gone": one} for one in gone])
        if missing:
            connection.execute(models.insert(), missing)
        counts = {"models": len(claimed) - len(gone) + len(missing), "models_counted_at": now}
        connection.execute(sa.update(use).where(use.c.workspace == workspace).values(counts))

    def _insert(self, connection: sa.Connection, workspace: str, name: str) -> int:
        row = {"workspace": workspace, "name": name, "claimed_at": datetime.now(UTC)}
        statement = self._database.insert(models).values(row)
        statement = statement.on_conflict_do_nothing(index_elements=["workspace", "name"])
        # Drivers differ in what they count as inserted; the rows that are returned were inserted.
        return len(connection.execute(statement.returning(models.c.name)).all())


def _named(workspace: str, name: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (models.c.workspace == workspace, models.c.name == name)


def _held(hold: Hold) -> tuple[sa.ColumnElement[bool], ...]:
    return (pending.c.workspace == hold.workspace, pending.c.id == hold.id)


def _expired(workspace: str) -> tuple[sa.ColumnElement[bool], ...]:
    """Intents do not end like this: their files are looked at (``artifacts.settling``)."""
    return (pending.c.workspace == workspace, pending.c.until < datetime.now(UTC), pending.c.path.is_(None))


def _intended(workspace: str, path: str | None) -> tuple[sa.ColumnElement[bool], ...]:
    return (pending.c.workspace == workspace, pending.c.path == path)


def _intent(row: sa.Row[Any]) -> Intent:
    hold = Hold(row.id, row.workspace, Use(row.bytes, row.files, names=row.names), keep=True)
    return Intent(hold, row.path, row.sha256, row.created_at, row.key_id or "", row.until < datetime.now(UTC))


def _counts(use: Use) -> dict[str, int]:
    return {"bytes": use.bytes, "files": use.files, "names": use.names}


def _files(rows: Sequence[Any]) -> Use:
    return Use(**{name: sum(getattr(row, name) for row in rows) for name in ("bytes", "files", "names")})


def _sum(one: Use, sign: int, other: Use) -> Use:
    return Use(*(getattr(one, of.name) + sign * getattr(other, of.name) for of in fields(Use)))


def _use(row: sa.Row[Any]) -> Use:
    return Use(row.bytes, row.files, row.models, row.tracking_bytes, row.names)
