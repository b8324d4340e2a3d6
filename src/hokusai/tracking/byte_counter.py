"""Counts what a workspace's requests store in MLflow: the rows are in MLflow's tables, the quota is ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hokusai.quota import TrackingQuota
from hokusai.tracking.request import TrackingRequest

#: Bytes. What a row takes beside the text in it, and a request for it is at least counted.
MIN_BYTES = 512

#: Requests with a body that store nothing: those that read, and those that delete.
_NOTHING = frozenset({"search", "get-latest-versions", "delete", "delete-tag", "delete-experiment-tag"})
#: Those that only set what has a place already. A workspace whose quota is used up can still end its runs.
_IN_PLACE = frozenset({"/runs/update", "/runs/restore", "/experiments/restore", "/model-versions/transition-stage"})


def stores(request: TrackingRequest) -> bool:
    """Whether MLflow's tables may be larger after the request."""
    if request.method not in {"POST", "PATCH"} or request.route in _IN_PLACE:
        return False
    return request.route.rpartition("/")[2] not in _NOTHING


class ByteCounter:
    """Counts the body of each request that stores something."""

    def __init__(self, quota: TrackingQuota) -> None:
        self._quota = quota

    @asynccontextmanager
    async def around(self, request: TrackingRequest, size: int) -> AsyncIterator[None]:
        """``size`` of the body. Raises ``errors.TrackingBytesExceeded`` before the block, and what the block raises."""
        if not stores(request):
            yield
            return
        async with self._quota.storing(request.workspace, max(size, MIN_BYTES), request.principal.quota.bytes):
            yield
