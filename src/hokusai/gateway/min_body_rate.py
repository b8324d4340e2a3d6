"""A minimum rate for bodies: a client cannot keep a request open for ever by sending a byte now and then."""

from __future__ import annotations

import asyncio
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hokusai import errors
from hokusai.gateway.exchange import exchange_of
from hokusai.gateway.route import Body


class MinBodyRate:
    """Refuses a body that, after ``grace`` seconds, has arrived at less than ``rate`` bytes a second on average.

    Only the time spent waiting for the client counts, not that of a slow disk. It applies to JSON and to uploads. How
    long a client may pause at a time is limited where the body is read.
    """

    def __init__(self, app: ASGIApp, *, rate: float, grace: float = 60) -> None:
        self.app = app
        self.rate = rate
        self.grace = grace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match = exchange_of(scope).match
        if match is not None and match.route.body is not Body.NONE:  # where the route takes none, one byte is refused
            receive = _TimedReceive(receive, rate=self.rate, grace=self.grace)
        await self.app(scope, receive, send)


class _TimedReceive:
    """Wraps a ``receive`` while the body arrives. Raises ``errors.BodyTooSlow``."""

    def __init__(self, receive: Receive, *, rate: float, grace: float) -> None:
        self._receive = receive
        self._rate = rate
        self._grace = grace
        self._size = 0
        self._waited = 0.0
        self._more = True

    async def __call__(self) -> Message:
        if not self._more:
            return await self._receive()
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._grace + self._size / self._rate - self._waited):
                message = await self._receive()
        except TimeoutError:
            seconds = round(self._waited + time.monotonic() - began)
            raise errors.BodyTooSlow(received=self._size, seconds=seconds, rate=self._rate) from None
        self._waited += time.monotonic() - began
        self._size += len(message.get("body", b""))
        self._more = message.get("more_body", False)
        return message
