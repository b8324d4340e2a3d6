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
    """Writes one JSON line and one row per request that changed something or was refused.

    ``note`` never waits: entries go through a bounded queue to one task, which writes them in
    batches. Lines go out even while the database is away; rows are then kept and tried again, up
    to ``bound`` entries, and what is dropped beyond that is counted and logged. The second half
    of that room is for entries that name a key: a flood of strangers does not push out what matters.
    """

    def __init__(self, database: Database, *, stream: TextIO | None = None, bound: int = 10_000) -> None:
        self._database = database
        self._stream = stream or sys.stdout
        self._bound = bound
        self._lines: list[dict[str, Any]] = []
        self._rows: list[dict[str, Any]] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="audit-trail")

    async def close(self) -> None:
        """Write what is left, then stop."""
        self._closing = True
        self._wake.set()
        if self._task:
            await self._task

    def note(self, entry: dict[str, Any]) -> None:
        waiting = len(self._rows) + len(self._lines)
        if waiting >= self._bound or (waiting >= self._bound // 2 and entry["key_id"] is None):
            self.dropped += 1
            return
        self._lines.append(entry)
        self._wake.set()

    async def _run(self) -> None:
        while not self._closing:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), 5 if self._rows else None)
            if not self._closing:
                await asyncio.sleep(0.1)  # a batch's worth of entries
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
            log.error("audit rows are waiting (%d): %s", len(self._rows), error)
        except Exception:
            log.exception("audit: %d rows could not be stored; their lines were written", len(rows))
        if self.dropped:
            dropped, self.dropped = self.dropped, 0
            log.error("audit: %d entries were dropped: the bound of %d was reached", dropped, self._bound)

    def _print(self, entries: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(entry, default=datetime.isoformat) + "\n" for entry in entries)
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()
