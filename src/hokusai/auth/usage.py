"""How much each key is used: counted in memory, and stored by the hour."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from hokusai import errors
from hokusai.auth import tables
from hokusai.auth.keys import now
from hokusai.database import Database

log = logging.getLogger("hokusai.auth")

_T = tables.usage


@dataclass(frozen=True, slots=True)
class Usage:
    """What one key did in the hour that begins at ``hour``. ``requests`` includes the refused ones."""

    key_id: str
    hour: datetime
    requests: int
    refused: int


class UsageStore:
    """Usage by key and hour. Raises ``errors.Unavailable`` where the database is the cause."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, counted: Sequence[Usage]) -> None:
        """Add to the stored counts: all of it, or nothing when it raises."""
        insert = self._database.insert(_T)
        more = {name: _T.c[name] + insert.excluded[name] for name in ("requests", "refused")}
        upsert = insert.on_conflict_do_update(index_elements=["key_id", "hour"], set_=more)
        # Sorted, so that two servers cannot wait for each other's rows.
        ordered = sorted((one.key_id, one.hour, one.requests, one.refused) for one in counted)
        rows = [dict(zip(_T.c.keys(), row, strict=True)) for row in ordered]
        await self._database.run(lambda connection: connection.execute(upsert, rows))

    async def of(self, key_id: str, *, hours: int) -> list[Usage]:
        """The last ``hours`` hours, the current one included; hours without a request are absent."""
        since = hour_of(now()) - timedelta(hours=hours - 1)
        query = sa.select(_T).where(_T.c.key_id == key_id, _T.c.hour >= since).order_by(_T.c.hour)
        rows = await self._database.rows(query)
        return [Usage(row.key_id, row.hour, row.requests, row.refused) for row in rows]


class UsageCounter:
    """Counts in memory, and passes the counts to ``send`` every ``seconds`` and on ``close``.

    ``send`` takes up to ``batch`` rows and raises if it did not store them; they are then kept, added to, and sent
    again. So nothing is lost while this process runs; rows that were stored in spite of an error are counted twice.
    Beyond ``size`` pairs of key and hour, the earlier hours of each key are merged into its latest one, so that memory
    is limited by the number of keys.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Usage]], Awaitable[None]],
        *,
        seconds: float,
        batch: int = 500,
        size: int = 100_000,
    ) -> None:
        self._send = send
        self._seconds = seconds
        self._batch = batch
        self._merge_at = self._size = size
        self._counts: dict[tuple[str, int], list[int]] = {}
        self._flushing = asyncio.Lock()
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def count(self, key_id: str, *, refused: bool) -> None:
        """Never waits and never raises."""
        place = (key_id, int(time.time()) // 3600)
        counted = self._counts.get(place)
        if counted is None:
            counted = self._entry(place)
        counted[0] += 1
        counted[1] += refused

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="usage")

    async def close(self, *, seconds: float = 10) -> None:
        """Send what is left, for at most ``seconds``. The number of requests that could not be sent is logged."""
        self._stop.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=seconds)
            if not self._task.done():
                self._task.cancel()
                await asyncio.wait({self._task}, timeout=1)
        elif self._counts:
            with contextlib.suppress(errors.HokusaiError, TimeoutError):
                await asyncio.wait_for(self.flush(), seconds)
        if self._counts:
            lost = sum(requests for requests, _ in self._counts.values())
            log.error("usage statistics: %d requests could not be stored before the end, and are lost", lost)

    async def flush(self) -> None:
        """Send what was counted. Raises what ``send`` raised; the counts are kept then."""
        async with self._flushing:
            counts, self._counts = self._counts, {}
            left = list(counts)
            try:
                while left:
                    await self._send([_usage(place, counts[place]) for place in left[: self._batch]])
                    del left[: self._batch]
            finally:
                for place in left:
                    self._add(place, counts[place])

    async def _run(self) -> None:
        stopping = False
        while not stopping:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), self._seconds)
            stopping = self._stop.is_set()  # read before the last flush, which must see all that was counted
            try:
                await self.flush()
            except errors.HokusaiError as error:
                log.warning("usage statistics could not be stored, and will be sent again: %s", error)
            except Exception:
                log.exception("usage statistics could not be stored, and will be sent again")

    def _add(self, place: tuple[str, int], more: list[int]) -> None:
        counted = self._counts.get(place)
        if counted is None:
            counted = self._entry(place)
        counted[0] += more[0]
        counted[1] += more[1]

    def _entry(self, place: tuple[str, int]) -> list[int]:
        if len(self._counts) >= self._merge_at:
            self._merge()
            self._merge_at = max(self._size, 2 * len(self._counts))
        return self._counts.setdefault(place, [0, 0])

    def _merge(self) -> None:
        """One entry for each key, under its latest hour."""
        counts, self._counts = self._counts, {}
        latest: dict[str, int] = {}
        for key_id, hour in counts:
            latest[key_id] = max(hour, latest.get(key_id, 0))
        for (key_id, _), (requests, refused) in counts.items():
            counted = self._counts.setdefault((key_id, latest[key_id]), [0, 0])
            counted[0] += requests
            counted[1] += refused


def hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _usage(place: tuple[str, int], counted: list[int]) -> Usage:
    key_id, hour = place
    return Usage(key_id, datetime.fromtimestamp(hour * 3600, UTC), *counted)
