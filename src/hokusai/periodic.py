"""A task that does something now and then, as long as its owner lives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class PeriodicTask:
    """Calls ``work`` every ``seconds``, for the first time after ``first`` seconds. ``work`` handles its own errors."""

    def __init__(self, work: Callable[[], Awaitable[None]], *, name: str, seconds: float, first: float = 0) -> None:
        self._work = work
        self._name = name
        self._seconds = seconds
        self._first = first
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def close(self) -> None:
        """Ends it. Does nothing where it was not started."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        await asyncio.sleep(self._first)
        while True:
            await self._work()
            await asyncio.sleep(self._seconds)
