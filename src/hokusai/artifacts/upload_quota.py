"""Who may begin an upload: decided before the body is read, by the quota and the uploads in progress.

The ledger makes the final decision, exactly and for all processes. This early one saves clients from sending a file
that will be refused, and keeps the parts of such files from filling the disk.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from hokusai import errors
from hokusai.artifacts.ledger import Ledger
from hokusai.artifacts.path import Place
from hokusai.artifacts.record import use_for
from hokusai.identity import Quota
from hokusai.quota import excess

#: Bytes. Up to this size a file takes no longer to send than to ask the ledger about: it is judged at the end alone.
_SMALL = 1 << 20


@dataclass(slots=True)
class _InFlight:
    """The uploads of one workspace that are in progress in this process, and their bytes."""

    uploads: int = 0
    bytes: int = 0


class Reservation:
    """The share of one upload in what is in flight.

    ``limit`` is the workspace's quota and ``available`` what this upload may use of it, in bytes; None: unlimited.
    """

    def __init__(self, in_flight: _InFlight, *, limit: int | None, available: int | None) -> None:
        self._in_flight = in_flight
        self._limit = limit
        self._available = available
        self._bytes = 0

    def grow_to(self, size: int) -> None:
        """The upload has ``size`` bytes now, or declares them. Raises ``errors.BytesQuotaExceeded``.

        All uploads together may hold twice what is available: some of them may replace files, or fail.
        """
        if size > self._bytes:
            self._in_flight.bytes += size - self._bytes
            self._bytes = size
        if self._limit is None or self._available is None:
            return
        if size > self._available or self._in_flight.bytes > 2 * self._available:
            raise errors.BytesQuotaExceeded(limit=self._limit, left=max(0, self._available), needed=size)

    def release(self) -> None:
        """The upload has ended: the ledger counts the file now, or it is gone. May be called twice."""
        self._in_flight.bytes -= self._bytes
        self._bytes = 0


class UploadQuota:
    """Admits uploads: ``max_uploads`` at a time for each workspace in this process, and no bytes beyond its quota."""

    def __init__(self, ledger: Ledger, *, max_uploads: int) -> None:
        self._ledger = ledger
        self._max_uploads = max_uploads
        self._in_flight: dict[str, _InFlight] = {}

    @asynccontextmanager
    async def upload(self, place: Place, quota: Quota, *, declared: int | None) -> AsyncIterator[Reservation]:
        """Raises ``errors.UploadsExceeded``, ``FilesQuotaExceeded`` or ``BytesQuotaExceeded``."""
        in_flight = self._in_flight.setdefault(place.workspace, _InFlight())
        if in_flight.uploads >= self._max_uploads:
            raise errors.UploadsExceeded(limit=str(self._max_uploads), quota=self._max_uploads)
        in_flight.uploads += 1
        reservation = None
        try:
            if declared is not None and declared <= _SMALL:
                reservation = Reservation(in_flight, limit=None, available=None)
            else:
                reservation = await self._reserve(in_flight, place, quota)
            reservation.grow_to(declared or 0)
            yield reservation
        finally:
            in_flight.uploads -= 1
            if reservation is not None:
                reservation.release()
            if not in_flight.uploads:
                del self._in_flight[place.workspace]

    async def _reserve(self, in_flight: _InFlight, place: Place, quota: Quota) -> Reservation:
        now, replaced = await self._ledger.use_and_size(place)
        if replaced is None and (refusal := excess(now, use_for(place.path, 0), quota)):
            raise refusal
        if quota.bytes is None:
            return Reservation(in_flight, limit=None, available=None)
        # A file may always be replaced by one that is no larger, even if the quota was lowered since.
        available = max(quota.bytes - now.bytes - now.tracking_bytes, 0) + (replaced or 0)
        return Reservation(in_flight, limit=quota.bytes, available=available)
