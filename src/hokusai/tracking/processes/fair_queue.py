"""Whose request is next: every workspace in turn, and none with all of the places."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.requests import ClientDisconnect

from hokusai import errors

#: Returns when nobody waits for a request's answer any more.
Gone = Callable[[], Awaitable[object]]


class FairQueue:
    """``places`` requests at a time, at most ``share`` of them of one workspace.

    Those that wait are served workspace by workspace, in turn, so that one which sends a thousand requests
    delays another by one of them. A workspace may have ``waiting`` requests in the queue, and all of them together
    ``total``, none for more than ``seconds``. The number of places may change while requests run (``resize``). Our own
    requests are of the workspace "".
    """

    def __init__(self, *, places: int, share: int, waiting: int = 64, total: int = 512, seconds: float = 60) -> None:
        self._places = places
        self._share = share
        self._waiting = waiting
        self._total = total
        self._seconds = seconds
        self._running: Counter[str] = Counter()
        self._queues: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def length(self) -> int:
        return sum(map(len, self._queues.values()))

    @asynccontextmanager
    async def place(self, workspace: str, gone: Gone | None = None) -> AsyncIterator[None]:
        """A place while the block lasts. Raises ``errors.WorkspaceQueueFull`` or ``errors.Busy``.

        A request with ``gone`` leaves the queue when nobody waits for its answer, with ``ClientDisconnect``.
        """
        await self._enter(workspace, gone)
        try:
            yield
        finally:
            self._leave(workspace)

    def resize(self, change: int) -> None:
        self._places += change
        self._admit()

    async def _enter(self, workspace: str, gone: Gone | None) -> None:
        if not self._queues and self._has_room(workspace):
            self._running[workspace] += 1
            return
        queue = self._queues.get(workspace)
        if queue is not None and len(queue) >= self._waiting:
            raise errors.WorkspaceQueueFull(limit=str(self._waiting), quota=self._waiting)
        if self.length >= self._total:
            raise errors.Busy(layer="tracking")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(workspace, deque()).append(turn)
        self._admit()
        try:
            await self._wait(turn, gone)
        except BaseException:
            if turn.done():  # it had its turn in this very moment
                self._leave(workspace)
            else:
                self._forget(workspace, turn)
            raise

    async def _wait(self, turn: asyncio.Future[None], gone: Gone | None) -> None:
        if turn.done():
            return
        watch: list[asyncio.Future[Any]] = [asyncio.ensure_future(gone())] if gone else []
        try:
            await asyncio.wait({turn, *watch}, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in watch:
                one.cancel()
        if turn.done():
            return
        if any(one.done() for one in watch):
            raise ClientDisconnect
        raise errors.Busy(layer="tracking")

    def _leave(self, workspace: str) -> None:
        self._running[workspace] -= 1
        if not self._running[workspace]:
            del self._running[workspace]
        self._admit()

    def _has_room(self, workspace: str) -> bool:
        return self._running.total() < self._places and self._running[workspace] < self._share

    def _admit(self) -> None:
        """Give free places to those who wait, one workspace after the other."""
        while (workspace := next((name for name in self._queues if self._has_room(name)), None)) is not None:
            queue = self._queues[workspace]
            turn = queue.popleft()
            if queue:
                self._queues.move_to_end(workspace)
            else:
                del self._queues[workspace]
            if not turn.done():
                self._running[workspace] += 1
                turn.set_result(None)

    def _forget(self, workspace: str, turn: asyncio.Future[None]) -> None:
        queue = self._queues.get(workspace)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._queues[workspace]
