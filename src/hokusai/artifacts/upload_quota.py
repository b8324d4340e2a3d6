"""Who may begin an upload: judged before the body is asked for, by the quota and by what is under way.

The ledger decides what is kept, exactly and for all processes. This is so that nobody sends for
nothing, and that parts of files which will never be kept do not fill the disk in the meantime.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from hokusai import errors
from hokusai.artifacts.ledger import Ledger
from hokusai.artifacts.path import Place
from hokusai.identity import Quota, Use
from hokusai.quota import excess

#: Bytes of a file that is sent as soon as asked about: the ledger alone judges it, when it lands.
_SMALL = 1 << 20


@dataclass(slots=True)
class _InFlight:
    """A workspace's uploads under way in this process, and their bytes."""

    uploads: int = 0
    bytes: int = 0


class Reservation:
    """One upload's part of what is under way. ``left`` is what fits into ``limit`` beside what is kept, or None."""

    def __init__(self, in_flight: _InFlight, *, limit: int | None, left: int | None) -> None:
        self._in_flight = in_flight
        self._limit = limit
        self._left = left
        self._bytes = 0

    def reach(self, size: int) -> None:
        """The upload has ``size`` bytes, or says that it will. Raises ``errors.BytesQuotaExceeded``.

        Together, uploads may take twice what is left: some of them may replace files, or fail.
        """
        if size > self._bytes:
            self._in_flight.bytes += size - self._bytes
            self._bytes = size
        if self._limit is None or self._left is None:
            return
        if size > self._left or self._in_flight.bytes > 2 * self._left:
            raise errors.BytesQuotaExceeded(limit=self._limit, left=max(0, self._left), needed=size)

    def release(self) -> None:
        """It is counted as kept now, or gone. Doing it again changes nothing."""
        self._in_flight.bytes -= self._bytes
        self._bytes = 0


class UploadQuota:
    """Admits uploads: ``uploads`` at a time for each workspace in this process, and no bytes beyond its quota."""

    def __init__(self, ledger: Ledger, *, uploads: int) -> None:
        self._ledger = ledger
        self._most = uploads
        self._in_flight: dict[str, _InFlight] = {}

    @asynccontextmanager
    async def upload(self, place: Place, quota: Quota, *, declared: int | None) -> AsyncIterator[Reservation]:
        """Raises ``errors.UploadsExceeded``, ``FilesQuotaExceeded`` or ``BytesQuotaExceeded``."""
        in_flight = self._in_flight.setdefault(place.workspace, _InFlight())
        if in_flight.uploads >= self._most:
            raise errors.UploadsExceeded(limit=str(self._most), quota=self._most)
        in_flight.uploads += 1
        reservation = None
        try:
            small = declared is not None and declared <= _SMALL
            reservation = (
                Reservation(in_flight, limit=None, left=None) if small else await self._reserve(in_flight, place, quota)
            )
            reservation.reach(declared or 0)
            yield reservation
        finally:
            in_flight.uploads -= 1
            if reservation is not None:
                reservation.release()
            if not in_flight.uploads:
                del self._in_flight[place.workspace]

    async def _reserve(self, in_flight: _InFlight, place: Place, quota: Quota) -> Reservation:
        now, replaced = await self._ledger.room(place)
        if replaced is None and (refusal := excess(now, Use(files=1), quota)):
            raise refusal
        if quota.bytes is None:
            return Reservation(in_flight, limit=None, left=None)
        # A file may always give way to one that is no larger, also where the quota was lowered since.
        return Reservation(in_flight, limit=quota.bytes, left=max(quota.bytes - now.bytes, 0) + (replaced or 0))
