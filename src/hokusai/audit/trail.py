"""The audit trail: its table, and the task that writes to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from datetime import datetime
from typing import Any, TextIO

import sqlalchemy as sa

from hokusai import errors
from hokusai.database import Database, metadata

log = logging.getLogger("hokusai.audit")

trail = sa.Table(
    "hokusai_audit",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("request_id", sa.String(32), nullable=False),
    sa.Column("key_id", sa.String(32)),
    sa.Column("user_id", sa.String(255)),
    sa.Column("workspace", sa.String(63)),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("method", sa.String(16), nullable=False),
    sa.Column("path", sa.String(1024), nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("code", sa.String(8)),
    sa.Column("permission", sa.String(64)),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Index("ix_hokusai_audit_workspace_at", "workspace", "at"),
    sa.Index("ix_hokusai_audit_at", "at"),
)


class AuditTrail:
    """Writes one JSON line and one row for each request that changed something or was refused.

    ``note`` never waits: entries go through a queue of at most ``max_waiting`` to one task, which writes them in
    batches. Lines are written even while the database is down; the rows are kept then and written later. Entries that
    exceed the queue are dropped, counted and logged. The second half of the queue is reserved for entries with a key,
    so that a flood of requests without one cannot push these out.
    """

    def __init__(self, database: Database, *, stream: TextIO | None = None, max_waiting: int = 10_000) -> None:
        self._database = database
        self._stream = stream or sys.stdout
        self._max_waiting = max_waiting
        self._lines: list[dict[str, Any]] = []
        self._rows: list[dict[str, Any]] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="audit-trail")

    async def close(self) -> None:
        """Write what is waiting, then stop."""
        self._closing = True
        self._wake.set()
        if self._task:
            await self._task

    def note(self, entry: dict[str, Any]) -> None:
        waiting = len(self._rows) + len(self._lines)
        if waiting >= self._max_waiting or (waiting >= self._max_waiting // 2 and entry["key_id"] is None):
            self.dropped += 1
            return
        self._lines.append(entry)
        self._wake.set()

    async def _run(self) -> None:
        while not self._closing:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), 5 if self._rows else None)
            if not self._closing:
                await asyncio.sleep(0.1)  # collect a batch
            self._wake.clear()
            await self._flush()
        await self._flush()

    async def _flush(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            await asyncio.to_thread(self._print, lines)
        self._rows += lines
        if not self._rows:
            return
        rows, self._rows = self._rows, []
        try:
            await self._database.run(lambda connection: connection.execute(trail.insert(), rows))
        except errors.Unavailable as error:
            self._rows = rows + self._rows
            log.error(
                "audit: %d rows wait for the database, and are written when it is back: %s", len(self._rows), error
            )
        except Exception:
            log.exception(
                "audit: %d rows could not be written to the database; the log has them as JSON lines", len(rows)
            )
        if self.dropped:
            dropped, self.dropped = self.dropped, 0
            log.error("audit: %d entries were dropped, because %d were waiting already", dropped, self._max_waiting)

    def _print(self, entries: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(entry, default=datetime.isoformat) + "\n" for entry in entries)
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()
