"""Old rows of the audit trail are deleted, a few at a time, so that nothing else waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from hokusai import errors
from hokusai.audit.table import trail
from hokusai.database import Database
from hokusai.periodic import PeriodicTask

log = logging.getLogger("hokusai.audit")

#: Rows in one transaction, and seconds between two.
_BATCH, _PAUSE = 1000, 0.2
#: Seconds after the start, and between two rounds.
_FIRST, _EVERY = 60, 3600


class Retention:
    """Deletes rows that are older than ``days``, once an hour. None: never.

    It does no harm that every server does so: what another one has deleted is not there any more.
    """

    def __init__(
        self, database: Database, *, days: int | None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._database = database
        self._days = days
        self._now = now
        self._task = PeriodicTask(self._round, name="audit-retention", seconds=_EVERY, first=_FIRST)

    async def start(self) -> None:
        if self._days is not None:
            self._task.start()

    async def close(self) -> None:
        await self._task.close()

    async def sweep(self) -> int:
        """Delete what is too old now; returns how many rows. Raises ``errors.Unavailable``."""
        if self._days is None:
            return 0
        end = self._now() - timedelta(days=self._days)
        deleted = 0
        while batch := await self._database.run(lambda connection: _delete(connection, end)):
            deleted += batch
            await asyncio.sleep(_PAUSE)
        return deleted

    async def _round(self) -> None:
        try:
            if deleted := await self.sweep():
                log.info("audit: %d rows older than %d days were deleted", deleted, self._days)
        except errors.Unavailable as error:
            log.warning("audit: old rows could not be deleted, and will be in an hour: %s", error)
        except Exception:
            log.exception("audit: old rows could not be deleted")


def _delete(connection: sa.Connection, end: datetime) -> int:
    oldest = sa.select(trail.c.id).where(trail.c.at < end).order_by(trail.c.at).limit(_BATCH)
    return connection.execute(trail.delete().where(trail.c.id.in_(oldest.scalar_subquery()))).rowcount
