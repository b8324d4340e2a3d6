"""Stopping a server: requests in progress finish, and new ones are refused."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from hokusai import errors
from hokusai.gateway.exchange import exchange_of
from hokusai.gateway.metrics import Metrics


class Drain:
    """Counts requests in progress. Once ``begin`` was called, refuses new ones with 503.

    ``/health``, ``/ready`` and the other public routes stay open, so that a load balancer sees that the server stops.
    Nobody waits for these: whoever asks for them without end does not hold up the stop.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics
        self.draining = False
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match = exchange_of(scope).match
        if self.draining:
            if not (match and match.route.public):
                raise errors.Draining()
            await self.app(scope, receive, send)
            return
        self._enter()
        try:
            await self.app(scope, receive, send)
        finally:
            self._leave()

    def begin(self) -> None:
        self.draining = True

    async def finished(self, seconds: float) -> bool:
        """Wait until no request is in progress, for at most ``seconds``. False where some still are."""
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _enter(self) -> None:
        self._in_flight += 1
        self.metrics.in_flight.set(self._in_flight)
        self._idle.clear()

    def _leave(self) -> None:
        self._in_flight -= 1
        self.metrics.in_flight.set(self._in_flight)
        if not self._in_flight:
            self._idle.set()
