"""What each workspace uses now, exact under concurrency: over threads, processes and replicas.

One row for each workspace, changed in short transactions that take it first: no lock on it is held
while a file or MLflow is waited for. What is on its way is counted before, and has a row of its own
with an end: after a crash it is given back by whoever comes next.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa

from hokusai import errors
from hokusai.database import Database, Instant, metadata
from hokusai.identity import Quota, Use

use = sa.Table(
    "hokusai_use",
    metadata,
    sa.Column("workspace", sa.String(63), primary_key=True),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("files", sa.BigInteger, nullable=False),
    sa.Column("models", sa.BigInteger, nullable=False),
    sa.Column("models_counted_at", Instant),
)

#: Files that are landing, already counted in ``use``, until they are recorded or their time is over.
pending = sa.Table(
    "hokusai_pending",
    metadata,
    sa.Column("workspace", sa.String(63), primary_key=True),
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("files", sa.BigInteger, nullable=False),
    sa.Column("until", Instant, nullable=False),
)

#: The registered models that are counted, by name: their own rows are in MLflow's tables.
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
    .values({name: sa.bindparam(name) for name in ("bytes", "files", "models")})
)

NOTHING = Use()
#: How long a file may be on its way from being counted to being recorded; many times what it takes.
PENDING = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Hold:
    """Room that is counted as used, for a file that is landing."""

    id: str
    workspace: str
    more: Use


class UseStore:
    """Reads and changes ``hokusai_use``. Raises ``errors.Unavailable`` where the database is the cause.

    What takes a connection is part of its caller's transaction.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        lock = database.insert(use).values(bytes=0, files=0, models=0)
        lock = lock.on_conflict_do_update(index_elements=["workspace"], set_={"bytes": use.c.bytes})
        self._lock = lock.returning(*use.c)

    async def of(self, workspace: str) -> Use:
        return await self._database.run(partial(self.read, workspace=workspace))

    def read(self, connection: sa.Connection, workspace: str) -> Use:
        """Without what crashed, which the next ``holding`` gives back."""
        row = connection.execute(sa.select(use).where(use.c.workspace == workspace)).one_or_none()
        rows = connection.execute(sa.select(pending).where(*_over(workspace))).all()
        return _sum(_use(row), -1, _files(rows)) if row else Use()

    @asynccontextmanager
    async def holding(self, workspace: str, more: Use, *, instead: Use, quota: Quota) -> AsyncIterator[Hold]:
        """Room for ``more``, which will replace ``instead``, while the block lands and ``settle``s it.

        Raises ``errors.TooLarge`` where it does not fit. Given back where the block raises.
        """
        hold = Hold(secrets.token_hex(16), workspace, more)
        await self._database.run(partial(self._hold, hold=hold, instead=instead, quota=quota))
        try:
            yield hold
        except BaseException:
            with contextlib.suppress(errors.HokusaiError):  # else it ends by itself
                await self._database.run(partial(self._release, hold=hold))
            raise

    def settle(self, connection: sa.Connection, hold: Hold, *, replaced: Use) -> None:
        """What was held is kept from now on, and ``replaced`` is gone; in the transaction that records it."""
        now = self.lock(connection, hold.workspace)
        gone = connection.execute(pending.delete().where(*_held(hold))).rowcount
        now = now if gone else _sum(now, 1, hold.more)  # its time was over, and it was given back
        self.set(connection, hold.workspace, _sum(now, -1, replaced))

    def forget(self, connection: sa.Connection, workspace: str, gone: Use) -> None:
        """Count something less, in the transaction that removes it, and last in it."""
        self.set(connection, workspace, _sum(self.lock(connection, workspace), -1, gone))

    def lock(self, connection: sa.Connection, workspace: str) -> Use:
        """Make the caller the only one who changes this workspace's use until its transaction ends.

        On SQLite only a write makes it a writer, so this is one.
        """
        return _use(connection.execute(self._lock, {"workspace": workspace}).one())

    def set(self, connection: sa.Connection, workspace: str, now: Use) -> None:
        """Under ``lock``."""
        connection.execute(_SET, {"of": workspace, "bytes": now.bytes, "files": now.files, "models": now.models})

    def _hold(self, connection: sa.Connection, *, hold: Hold, instead: Use, quota: Quota) -> None:
        now, more = self.lock(connection, hold.workspace), hold.more
        now = _sum(now, -1, self._expired(connection, hold.workspace))
        if refusal := excess(now, more, quota, instead=instead):
            raise refusal
        row = {"workspace": hold.workspace, "id": hold.id, "until": datetime.now(UTC) + PENDING}
        connection.execute(pending.insert().values(**row, bytes=more.bytes, files=more.files))
        self.set(connection, hold.workspace, _sum(now, 1, more))

    def _expired(self, connection: sa.Connection, workspace: str) -> Use:
        """What crashed while it was landing."""
        over = pending.delete().where(*_over(workspace)).returning(pending.c.bytes, pending.c.files)
        return _files(connection.execute(over).all())

    def _release(self, connection: sa.Connection, hold: Hold) -> None:
        now = self.lock(connection, hold.workspace)
        if connection.execute(pending.delete().where(*_held(hold))).rowcount:
            self.set(connection, hold.workspace, _sum(now, -1, hold.more))


def excess(now: Use, more: Use, quota: Quota, *, instead: Use = NOTHING) -> errors.TooLarge | None:
    """The refusal where ``more``, replacing ``instead``, would pass the quota. What adds nothing is never refused."""
    more = _sum(more, -1, instead)
    if quota.bytes is not None and more.bytes > 0 and now.bytes + more.bytes > quota.bytes:
        left = max(0, quota.bytes - now.bytes)
        return errors.BytesQuotaExceeded(limit=quota.bytes, left=left, needed=more.bytes)
    if quota.files is not None and more.files > 0 and now.files + more.files > quota.files:
        return errors.FilesQuotaExceeded(limit=quota.files, left=max(0, quota.files - now.files))
    if quota.models is not None and more.models > 0 and now.models + more.models > quota.models:
        return errors.ModelsQuotaExceeded(limit=quota.models, left=max(0, quota.models - now.models))
    return None


def replaced(now: Use, more: Use, instead: Use) -> Use:
    """What is used once ``more`` has taken the place of ``instead``."""
    return _sum(_sum(now, 1, more), -1, instead)


class ModelQuota:
    """Counts registered models, whose rows are in MLflow's database, by a claim on each name.

    ``most`` is the server's default. Around ``registered-models/create``::

        if await models.is_due(workspace):  # never counted, or not for a day
            await models.reconcile(workspace, names_in_mlflow)
        claimed = await models.claim(workspace, name, principal.quota.models)
        if isinstance(claimed, errors.ModelsQuotaExceeded):
            raise claimed
        answer = …  # MLflow's
        if claimed and answer.status in {400, 403, 404}:
            await models.release(workspace, name)

    Only a refusal that says the model was *not* made releases. After an outage nobody knows: the
    claim stays, the same request may be sent again under it, and ``reconcile`` clears what is left.
    After ``registered-models/delete`` comes ``release``, after ``rename`` comes ``rename``.
    """

    def __init__(self, database: Database, *, most: int | None) -> None:
        self._database = database
        self._default = Quota(models=most)
        self._use = UseStore(database)

    async def claim(self, workspace: str, name: str, limit: int | None = None) -> bool | errors.TooLarge:
        """True: counted now; False: it was counted before; or the refusal. ``limit`` None is the default."""
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
        """The model is gone. Doing it again changes nothing."""

        def release(connection: sa.Connection) -> None:
            now = self._use.lock(connection, workspace)
            gone = connection.execute(models.delete().where(*_named(workspace, name))).rowcount
            self._use.set(connection, workspace, _sum(now, -1, Use(models=gone)))

        await self._database.run(release)

    async def rename(self, workspace: str, old: str, new: str) -> None:
        """The model has another name. It counts as one, whatever was counted before."""

        def rename(connection: sa.Connection) -> None:
            now = self._use.lock(connection, workspace)
            gone = connection.execute(models.delete().where(*_named(workspace, old))).rowcount
            made = self._insert(connection, workspace, new)
            self._use.set(connection, workspace, _sum(now, 1, Use(models=made - gone)))

        await self._database.run(rename)

    async def is_due(self, workspace: str, *, every: timedelta = timedelta(days=1)) -> bool:
        """Whether the workspace's models were never counted in MLflow itself, or not lately."""
        query = sa.select(use.c.models_counted_at).where(use.c.workspace == workspace)
        counted = next((row.models_counted_at for row in await self._database.rows(query)), None)
        return counted is None or datetime.now(UTC) - counted > every

    async def reconcile(
        self, workspace: str, names: Collection[str], *, grace: timedelta = timedelta(minutes=5)
    ) -> None:
        """Count exactly ``names``, which MLflow has, and claims younger than ``grace``: their model may be on its way.

        What exists is counted, also past the quota.
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
        # What a driver counts as inserted differs; what came back was.
        return len(connection.execute(statement.returning(models.c.name)).all())


def _named(workspace: str, name: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (models.c.workspace == workspace, models.c.name == name)


def _held(hold: Hold) -> tuple[sa.ColumnElement[bool], ...]:
    return (pending.c.workspace == hold.workspace, pending.c.id == hold.id)


def _over(workspace: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (pending.c.workspace == workspace, pending.c.until < datetime.now(UTC))


def _files(rows: Sequence[Any]) -> Use:
    return Use(bytes=sum(row.bytes for row in rows), files=sum(row.files for row in rows))


def _sum(one: Use, sign: int, other: Use) -> Use:
    return Use(one.bytes + sign * other.bytes, one.files + sign * other.files, one.models + sign * other.models)


def _use(row: sa.Row[Any]) -> Use:
    return Use(row.bytes, row.files, row.models)
