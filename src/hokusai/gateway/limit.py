"""Limits of requests: for each address before a key is looked up, then for each key and each workspace."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network

from limits import RateLimitItem, RateLimitItemPerHour, parse
from starlette.types import ASGIApp, Receive, Scope, Send

from hokusai import errors
from hokusai.gateway.exchange import exchange_of
from hokusai.gateway.rates import Rates
from hokusai.identity import Principal


class LimitAddress:
    """Refuses an address that sends more than ``rate`` (``COUNT/PERIOD``).

    Requests with a key that was good from there lately have the rate for themselves: whatever else comes from that
    address does not use it up. Past the rate of all others, a key that may be good is still looked up, as often as
    ``FailedAttempts`` allows: it may belong to a neighbour who has just come. ``find_key`` notes on the exchange which
    key there is, and whether it is known; it returns whether the key may be good.
    """

    def __init__(self, app: ASGIApp, *, rates: Rates, rate: str, find_key: Callable[[Scope], bool]) -> None:
        self.app = app
        self.rates = rates
        self.rate = parse(rate)
        self.find_key = find_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        may_be_good = self.find_key(scope)
        exchange = exchange_of(scope)
        kind = "address-known" if exchange.is_known else "address"
        wait = await self.rates.hit(self.rate, kind, network(exchange.address))
        if wait is not None and (exchange.is_known or not may_be_good):
            raise exceeded(errors.AddressRateExceeded, self.rate, wait)
        await self.app(scope, receive, send)


class LimitKey:
    """Refuses a key past its own rate, or past ``rate`` where a workspace's key has none.

    A platform key without a rate of its own is not limited: another gateway may use one for all its requests.
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
                raise exceeded(errors.KeyRateExceeded, rate, wait)
        await self.app(scope, receive, send)

    def _rate(self, principal: Principal) -> RateLimitItem | None:
        if principal.rate_limit_per_hour is not None:
            return RateLimitItemPerHour(principal.rate_limit_per_hour)
        return self.rate if principal.workspace is not None else None


class LimitWorkspace:
    """Refuses all keys of a workspace together past the rate of its quota, or past ``rate`` where that has none."""

    def __init__(self, app: ASGIApp, *, rates: Rates, rate: str) -> None:
        self.app = app
        self.rates = rates
        self.rate = parse(rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal = exchange_of(scope).principal
        if principal is not None and principal.workspace is not None:
            own = principal.quota.requests_per_hour
            rate = self.rate if own is None else RateLimitItemPerHour(own)
            wait = await self.rates.hit(rate, "workspace", principal.workspace)
            if wait is not None:
                raise exceeded(errors.WorkspaceRateExceeded, rate, wait)
        await self.app(scope, receive, send)


def exceeded(error: type[errors.TooMany], rate: RateLimitItem, wait: int) -> errors.TooMany:
    """The refusal past a rate, with ``wait`` in seconds."""
    return error(limit=readable(rate), quota=rate.amount, window=rate.get_expiry(), retry_after=wait)


def network(address: str) -> str:
    """What counts as one address: an IPv4 address, or an IPv6 /64, all of which one host can use."""
    if ":" not in address:
        return address
    try:
        return str(ip_network((address, 64), strict=False))
    except ValueError:
        return address


def per_hour(rate: str) -> int:
    """``COUNT/PERIOD`` as requests per hour."""
    item = parse(rate)
    return item.amount * 3600 // item.get_expiry()


def readable(rate: RateLimitItem) -> str:
    """A rate in words: ``1000/hour``."""
    every = f"{rate.multiples} {rate.GRANULARITY.name}s" if rate.multiples > 1 else rate.GRANULARITY.name
    return f"{rate.amount}/{every}"
