"""Counts hits against rates: in this process, or in Redis for all processes and replicas together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import redis.asyncio
from limits import RateLimitItem
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.exceptions import RedisError

from hokusai import errors

log = logging.getLogger("hokusai.gateway")

_CONNECTIONS = 32


class Rates(Protocol):
    """Counts hits. Implementations: ``LocalRates`` and ``SharedRates``. Neither raises where Redis is down."""

    async def hit(self, rate: RateLimitItem, kind: str, name: str) -> int | None:
        """Count one hit. None where it is within the rate, else the seconds to wait."""

    async def full(self, rate: RateLimitItem, kind: str, name: str) -> int | None:
        """What ``hit`` would return, without counting."""

    async def close(self) -> None: ...


class LocalRates:
    """``Rates`` of this process.

    A sliding window over two counters: constant memory per name, and no burst where one window ends.
    """

    def __init__(self, storage: MemoryStorage | RedisStorage | None = None) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(storage or MemoryStorage())

    async def hit(self, rate: RateLimitItem, kind: str, name: str) -> int | None:
        if await self._limiter.hit(rate, kind, name):
            return None
        return await self._wait(rate, kind, name)

    async def full(self, rate: RateLimitItem, kind: str, name: str) -> int | None:
        if await self._limiter.test(rate, kind, name):
            return None
        return await self._wait(rate, kind, name)

    async def close(self) -> None: ...

    async def _wait(self, rate: RateLimitItem, kind: str, name: str) -> int:
        reset, _ = await self._limiter.get_window_stats(rate, kind, name)
        return max(1, math.ceil(reset - time.time()))


class SharedRates:
    """``Rates`` in the Redis at ``url``, shared by every process that uses it. ``password``: where the URL has none.

    Where Redis does not answer within ``wait`` seconds, this process counts on its own, and tries Redis again after
    ``pause`` seconds, with one request: an outage refuses no request and delays few.
    """

    def __init__(self, url: str, *, password: str | None = None, wait: float = 0.25, pause: float = 1) -> None:
        self._wait = wait
        self._pause = pause
        self._pool = redis.asyncio.BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=wait,
            socket_timeout=wait,
            socket_connect_timeout=wait,
            **({"password": password} if password else {}),
        )
        self._client = redis.asyncio.Redis(connection_pool=self._pool)
        storage = RedisStorage(
            "redis://",
            implementation="redispy",
            key_prefix="hokusai",
            connection_pool=self._pool,  # type: ignore[arg-type]
        )
        self._shared = LocalRates(storage)
        self._alone = LocalRates()
        self._is_down = False
        self._again = 0.0

    async def hit(self, rate: RateLimitItem, kind: str, name: str) -> int | None:
        return await self._ask(lambda rates: rates.hit(rate, kind, name))

    async def full(self, rate: RateLimitItem, kind: str, name: str) -> int | None:
        return await self._ask(lambda rates: rates.full(rate, kind, name))

    async def check(self) -> None:
        """Raises ``errors.RedisDown`` unless Redis answers."""
        try:
            async with asyncio.timeout(self._wait):
                await self._client.ping()
        except (RedisError, OSError, TimeoutError):
            raise errors.RedisDown() from None

    async def close(self) -> None:
        await self._pool.disconnect()

    async def _ask(self, ask: Callable[[Rates], Awaitable[int | None]]) -> int | None:
        if not self._is_down or self._is_due():
            try:
                async with asyncio.timeout(self._wait):
                    answer = await ask(self._shared)
            except (RedisError, OSError, TimeoutError) as error:
                await self._lost(error)
            else:
                self._found()
                return answer
        return await ask(self._alone)

    def _is_due(self) -> bool:
        """Whether it is time to try again; true for one caller each time."""
        due = time.monotonic() >= self._again
        if due:
            self._again = time.monotonic() + self._pause
        return due

    async def _lost(self, error: Exception) -> None:
        """Also closes the idle connections: they are broken too, and each would delay one more request."""
        self._again = time.monotonic() + self._pause
        if not self._is_down:
            self._is_down = True
            log.error("redis does not answer (%s): this process counts rates on its own", type(error).__name__)
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(self._wait):
                    await self._pool.disconnect(inuse_connections=False)

    def _found(self) -> None:
        if self._is_down:
            log.warning("redis answers again: rates are counted together")
            self._is_down = False
