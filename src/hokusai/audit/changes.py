"""Changes are recorded before their clients know of them.

A change of MLflow's, or of keys and workspaces, is written down twice. That it *begins* is in ``hokusai_audit_begun``
before it is made. How it ended is in the trail before its answer is sent, in the transaction that removes the first
row. Where the server is killed between the two, the first row stays, and becomes a row of the trail whose outcome is
unknown.

Only the second one waits for the disk. A loss of power between the two could lose the first one, with the change
itself not yet answered; a crash of the process loses nothing that was committed.

Both are committed in batches: while one batch is written, the next one collects.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from hokusai import errors
from hokusai.audit.entry import Entry
from hokusai.audit.table import begun, trail
from hokusai.database import Database
from hokusai.periodic import PeriodicTask

log = logging.getLogger("hokusai.audit")

_MAX_BATCH = 256
#: Rows that are settled in one transaction.
_PAGE = 500
#: Seconds between two looks for changes that were interrupted.
_EVERY = 30
#: What the row of an interrupted change says.
UNKNOWN = "unknown: the server ended while the change was being made"


@dataclass(frozen=True, slots=True)
class _Step:
    """``entry`` begins or ends; None: the change of that request was refused, and there is nothing to record."""

    request_id: str
    entry: Entry | None
    ends: bool


class Changes:
    """Records changes durably. ``longest`` is how many seconds a change may take.

    ``alone``: no other process changes anything in this database, so what had begun before the start was interrupted.
    """

    def __init__(self, database: Database, *, longest: float = 120, alone: bool = False) -> None:
        self._database = database
        self._longest = timedelta(seconds=longest)
        self._alone = alone
        self._waiting: list[tuple[_Step, asyncio.Future[None] | None]] = []
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="audit")
        self._interrupted = PeriodicTask(self._settle, name="audit-interrupted", seconds=_EVERY)

    async def start(self) -> None:
        if self._alone:
            await self._settle(timedelta())
        self._interrupted.start()

    async def begin(self, entry: Entry) -> None:
        """Returns when it is recorded. Raises ``errors.Unavailable``: then the change must not be made."""
        await self._add(_Step(entry.request_id, entry, ends=False))

    async def end(self, entry: Entry) -> None:
        """Returns when the outcome is recorded, and safe from a loss of power. Raises ``errors.Unavailable``."""
        await self._add(_Step(entry.request_id, entry, ends=True))

    def cancel(self, request_id: str) -> None:
        """The change was refused: that it had begun need not be remembered."""
        self._waiting.append((_Step(request_id, None, ends=True), None))
        self._wake()

    async def close(self) -> None:
        await self._interrupted.close()
        if self._task is not None:
            await asyncio.wait({self._task})
        self._thread.shutdown(wait=False)

    async def settle(self, older: timedelta | None = None) -> int:
        """Move changes that were interrupted to the trail: those that are ``older``, or than any change may be.

        Returns how many. Raises ``errors.Unavailable``.
        """
        end = datetime.now(UTC) - (self._longest if older is None else older)
        settled = 0
        while (moved := await self._database.run(lambda connection: _move(connection, end))) is not None:
            settled += moved
        return settled

    async def _settle(self, older: timedelta | None = None) -> None:
        try:
            if settled := await self.settle(older):
                log.warning("audit: the outcome of %d changes is not known: a server ended while it made them", settled)
        except errors.Unavailable as error:
            log.warning("audit: changes that were interrupted are not in the trail yet: %s", error)
        except Exception:
            log.exception("audit: changes that were interrupted could not be moved to the trail")

    async def _add(self, step: _Step) -> None:
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((step, written))
        self._wake()
        await asyncio.shield(written)

    def _wake(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="audit-changes")

    async def _run(self) -> None:
        try:
            while batch := self._waiting[:_MAX_BATCH]:
                del self._waiting[:_MAX_BATCH]
                error = await self._written([step for step, _ in batch])
                for _, future in batch:
                    if future is None or future.cancelled():
                        continue
                    if error is None:
                        future.set_result(None)
                    else:
                        future.set_exception(error)
                        future.exception()  # whoever waited may be gone
        finally:
            self._task = None

    async def _written(self, steps: Sequence[_Step]) -> Exception | None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._write, steps)
        except Exception as error:
            return error
        return None

    def _write(self, steps: Sequence[_Step]) -> None:
        begins = [_row(step.entry) for step in steps if step.entry and not step.ends]
        ended = [step.entry.row() for step in steps if step.entry and step.ends]
        gone = [{"ended": step.request_id} for step in steps if step.ends]
        with self._database.blocking(durable=bool(ended)) as connection:
            if begins:
                connection.execute(begun.insert(), begins)
            if ended:
                connection.execute(trail.insert(), ended)
            if gone:
                connection.execute(_END, gone)


_END = begun.delete().where(begun.c.request_id == sa.bindparam("ended"))


def _row(entry: Entry) -> dict[str, object]:
    return {"request_id": entry.request_id, "at": entry.at, "entry": json.dumps(entry.document())}


def _move(connection: sa.Connection, end: datetime) -> int | None:
    """One page: how many rows were written, None at the end. Whoever deletes a row writes it: servers do this together.

    A change may have its row in the trail already.
    """
    oldest = sa.select(begun.c.request_id).where(begun.c.at < end).limit(_PAGE)
    which = begun.c.request_id.in_(oldest.scalar_subquery())
    rows = connection.execute(begun.delete().where(which).returning(begun.c.request_id, begun.c.entry)).all()
    if not rows:
        return None
    there = sa.select(trail.c.request_id).where(trail.c.request_id.in_([row.request_id for row in rows]))
    known = set(connection.execute(there).scalars())
    if unknown := [_unknown(row.entry) for row in rows if row.request_id not in known]:
        connection.execute(trail.insert(), unknown)
    return len(unknown)


def _unknown(text: str) -> dict[str, object]:
    entry = Entry.read(text)
    return replace(entry, details={**entry.details, "outcome": UNKNOWN}).row()
