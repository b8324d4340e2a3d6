"""What an examination has made, and takes away again whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from hokusai.doctor.answer import Answer

#: Takes one thing away; returns what is left behind, or nothing.
Removal = Callable[[], Awaitable[str | None]]

_SECONDS = 10


class Cleanup:
    """Things to remove, the last made first."""

    def __init__(self) -> None:
        self._removals: list[Removal] = []

    def add(self, removal: Removal) -> None:
        """Call this before the thing is made: a request that is cut may still have made it."""
        self._removals.append(removal)

    async def made(
        self, asking: Coroutine[Any, Any, Answer], forget: Callable[[Answer], Awaitable[str | None]]
    ) -> Answer:
        """The answer to a request that makes something only the answer names; ``forget`` takes that away.

        The request goes on when this is cancelled, and what it made is known all the same.
        """
        asked = asyncio.create_task(asking)

        async def remove() -> str | None:
            return await forget(await asked)

        self.add(remove)
        return await asyncio.shield(asked)

    async def remove(self) -> list[str]:
        """Everything, within ``_SECONDS``. Returns what had to be left behind, in words."""
        left: list[str] = []
        try:
            async with asyncio.timeout(_SECONDS):
                while self._removals:
                    if words := await self._removals.pop()():
                        left.append(words)
        except TimeoutError:
            left.append(f"{len(self._removals) + 1} things: removing them took longer than {_SECONDS} s")
        return left
