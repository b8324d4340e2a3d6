"""The audit trail: what is written, and the task that writes it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import Hashable, Sequence
from typing import Literal, NamedTuple, TextIO

import sqlalchemy as sa

from hokusai import errors
from hokusai.audit.changes import Changes
from hokusai.audit.entry import Entry
from hokusai.audit.merging import Merging
from hokusai.audit.table import trail
from hokusai.database import Database

log = logging.getLogger("hokusai.audit")

#: How many places each kind of merged entry can come from in one minute. Strangers have a table of their own, so that
#: they cannot push out what was refused to keys, or what keys have read.
_PLACES = {"stranger": 256, "key": 1024, "read": 4096}


class Merge(NamedTuple):
    """With which others an entry is merged."""

    kind: Literal["stranger", "key", "read"]
    place: Hashable


class AuditTrail:
    """Writes one JSON line and one row for each entry.

    ``note`` never waits: entries go through a queue to one task, which writes them in batches. Lines are written even
    while the database is down; the rows are kept then and written later. An entry with ``merge`` is one that comes in
    floods: of all that share a place, one is written at once and one at the end of the minute (``merging.py``). Where
    ``max_waiting`` rows wait, further merged ones are dropped, counted and logged, and ``is_full`` is true: no change
    may begin then, because its row could not be kept. Merged entries use only half of the queue.

    The rows of changes do not take this way: ``changes`` writes them, for which ``longest_change`` and ``alone`` are.
    """

    def __init__(
        self,
        database: Database,
        *,
        stream: TextIO | None = None,
        max_waiting: int = 10_000,
        longest_change: float = 120,
        alone: bool = False,
    ) -> None:
        self.changes = Changes(database, longest=longest_change, alone=alone)
        self._database = database
        self._stream = stream or sys.stdout
        self._max_waiting = max_waiting
        self._lines: list[Entry] = []
        self._only_lines: list[Entry] = []
        self._rows: list[Entry] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._merging = {kind: Merging(size=size) for kind, size in _PLACES.items()}
        self.dropped = 0

    @property
    def is_full(self) -> bool:
        return self._waiting >= self._max_waiting

    async def start(self) -> None:
        await self.changes.start()
        self._task = asyncio.create_task(self._run(), name="audit-trail")

    async def close(self) -> None:
        """Write what is waiting, then stop."""
        self._closing = True
        self._wake.set()
        if self._task:
            await self._task
        await self.changes.close()

    def note(self, entry: Entry, merge: Merge | None = None, *, has_row: bool = False) -> bool:
        """False where the entry was merged with others, or dropped. One that ``has_row`` gets a line only."""
        if has_row:
            self._only_lines.append(entry)
        elif merge is None:
            self._lines.append(entry)
        else:
            now = self._merging[merge.kind].add(merge.place, entry)
            if now is None or not self._queue_merged([now]):
                return False
        self._wake.set()
        return True

    @property
    def _waiting(self) -> int:
        return len(self._rows) + len(self._lines)

    def _queue_merged(self, entries: Sequence[Entry]) -> bool:
        """Whether there was room for all of them."""
        room = max(0, self._max_waiting // 2 - self._waiting)
        self._lines += entries[:room]
        self.dropped += sum(entry.times for entry in entries[room:])
        return len(entries) <= room

    async def _run(self) -> None:
        while not self._closing:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._patience())
            if not self._closing:
                await asyncio.sleep(0.1)  # collect a batch
            self._wake.clear()
            for merging in self._merging.values():
                self._queue_merged(merging.due())
            await self._flush()
        for merging in self._merging.values():
            self._queue_merged(merging.drain())
        await self._flush()

    def _patience(self) -> float | None:
        waits = [merging.wait() for merging in self._merging.values()]
        waits.append(5 if self._rows else None)
        return min((wait for wait in waits if wait is not None), default=None)

    async def _flush(self) -> None:
        lines, self._lines = self._lines, []
        only_lines, self._only_lines = self._only_lines, []
        self._rows += lines
        if lines or only_lines:
            await asyncio.to_thread(self._print, sorted(lines + only_lines, key=lambda entry: entry.at))
        if self._rows:
            self._rows = await self._store(self._rows)
        if self.dropped:
            dropped, self.dropped = self.dropped, 0
            log.error(
                "audit: %d refused requests were not recorded, because %d rows were waiting already",
                *(dropped, self._max_waiting // 2),
            )

    async def _store(self, entries: list[Entry]) -> list[Entry]:
        """Returns the entries that could not be stored now."""
        try:
            await self._database.run(lambda connection: _insert(connection, entries))
        except errors.Unavailable as error:
            log.error("audit: %d rows wait for the database, and are written when it is back: %s", len(entries), error)
            return entries
        except Exception:
            if len(entries) == 1:
                log.exception("audit: a row could not be written to the database; the log has it as a JSON line")
                return []
            # One of them cannot be stored. It must not take the others with it.
            middle = len(entries) // 2
            return await self._store(entries[:middle]) + await self._store(entries[middle:])
        return []

    def _print(self, entries: list[Entry]) -> None:
        text = "".join(json.dumps(entry.document()) + "\n" for entry in entries)
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()


def _insert(connection: sa.Connection, entries: Sequence[Entry]) -> None:
    connection.execute(trail.insert(), [entry.row() for entry in entries])
