"""Rates: one per address before any key is looked at, one per key after."""

from __future__ import annotations

import math
import time
from ipaddress import ip_network

from limits import RateLimitItem, RateLimitItemPerHour, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from starlette.types import ASGIApp, Receive, Scope, Send

from hokusai import errors
from hokusai.gateway.exchange import exchange_of
from hokusai.identity import Principal


class Rates:
    """Counts hits against rates, in this process's memory.

    A sliding window over two counters: constant memory per name, and no burst at the window's edge.
    """

    def __init__(self) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def hit(self, rate: RateLimitItem, kind: str, name: str) -> int | None:
        """Count one hit; None when it fits, else the seconds to wait."""
        if await self._limiter.hit(rate, kind, name):
            return None
        reset, _ = await self._limiter.get_window_stats(rate, kind, name)
        return max(1, math.ceil(reset - time.time()))


class LimitAddress:
    """Refuses an address that sends more than ``rate`` (``COUNT/PERIOD``)."""

    def __init__(self, app: ASGIApp, *, rates: Rates, rate: str) -> None:
        self.app = app
        self.rates = rates
        self.rate = parse(rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wait = await self.rates.hit(self.rate, "address", network(exchange_of(scope).address))
        if wait is not None:
            raise errors.AddressRateExceeded(limit=written(self.rate), retry_after=wait)
        await self.app(scope, receive, send)


class LimitKey:
    """Refuses a key past the rate it carries, or past ``rate`` where a workspace's key carries none.

    A platform key without a rate of its own is not limited: a gateway asks with one on behalf of all.
    """

    def __init__(self, app: ASGIApp, *, rates: Rates, rate: str) -> None:
        self.app = app
        self.rates = rates
        self.rate = parse(rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal = exchange_of(scope).principal
        if principal is not None and (rate := self._rate(principal)) is not None:
            wait = await self.rates.hit(rate, "key", principal.key_id)
            if wait is not None:
                raise errors.KeyRateExceeded(limit=written(rate), retry_after=wait)
        await self.app(scope, receive, send)

    def _rate(self, principal: Principal) -> RateLimitItem | None:
        if principal.rate_limit_per_hour is not None:
            return RateLimitItemPerHour(principal.rate_limit_per_hour)
        return self.rate if principal.workspace is not None else None


def network(address: str) -> str:
    """What counts as one sender: an IPv4 address, or the /64 that one IPv6 host can have all of."""
    if ":" not in address:
        return address
    try:
        return str(ip_network((address, 64), strict=False))
    except ValueError:
        return address


def per_hour(rate: str) -> int:
    """``COUNT/PERIOD`` as requests an hour."""
    item = parse(rate)
    return item.amount * 3600 // item.get_expiry()


def written(rate: RateLimitItem) -> str:
    """A rate as people write it: ``1000/hour``."""
    every = f"{rate.multiples} {rate.GRANULARITY.name}s" if rate.multiples > 1 else rate.GRANULARITY.name
    return f"{rate.amount}/{every}"
