"""Removes what an examination has made, however the examination ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from hokusai.doctor.probe import Answer

#: Removes one thing; returns a description of it if it is still there.
Removal = Callable[[], Awaitable[str | None]]

_SECONDS = 10


class Cleanup:
    """Things to remove; what was made last is removed first."""

    def __init__(self) -> None:
        self._removals: list[Removal] = []

    def add(self, removal: Removal) -> None:
        """Call this before the thing is made: a request that is cut off may still make it."""
        self._removals.append(removal)

    async def after(
        self, request: Coroutine[Any, Any, Answer], remove: Callable[[Answer], Awaitable[str | None]]
    ) -> Answer:
        """The answer to a request that makes something whose id only the answer has; ``remove`` takes that answer.

        The request continues when this is cancelled, so that what it made is removed all the same.
        """
        running = asyncio.create_task(request)

        async def removal() -> str | None:
            return await remove(await running)

        self.add(removal)
        return await asyncio.shield(running)

    async def remove(self) -> list[str]:
        """Remove everything, within ``_SECONDS``. Returns descriptions of what is left behind."""
        left: list[str] = []
        try:
            async with asyncio.timeout(_SECONDS):
                while self._removals:
                    if description := await self._removals.pop()():
                        left.append(description)
        except TimeoutError:
            left.append(f"{len(self._removals) + 1} things: removing them took longer than {_SECONDS} s")
        return left
