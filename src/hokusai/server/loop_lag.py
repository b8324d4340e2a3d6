"""How late the event loop is: what one request holds up, all others wait for."""

from __future__ import annotations

import asyncio
import time

from prometheus_client import CollectorRegistry, Gauge

_INTERVAL = 0.05
#: Seconds for which a lag is remembered: two minutes contain a scrape, whatever its interval is.
_REMEMBERED = 60


class LoopLag:
    """Wakes up regularly, and measures how much too late that was. The metric is the most in the last minute or two."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._gauge = Gauge(
            "hokusai_event_loop_lag_seconds",
            "The longest that the event loop was held up, in the last one to two minutes.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._before = 0.0
        self._now = 0.0

    @property
    def most(self) -> float:
        return max(self._before, self._now)

    async def run(self) -> None:
        """Until it is cancelled."""
        since = time.monotonic()
        while True:
            due = time.monotonic() + _INTERVAL
            await asyncio.sleep(_INTERVAL)
            now = time.monotonic()
            self._now = max(self._now, now - due)
            if now - since > _REMEMBERED:
                self._before, self._now, since = self._now, 0.0, now
            self._gauge.set(self.most)
