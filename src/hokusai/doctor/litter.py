"""What an examination has made, and takes away again whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

#: Takes one thing away; returns what is left behind, or nothing.
Removal = Callable[[], Awaitable[str | None]]

_SECONDS = 10


class Litter:
    """Things to remove, the last made first."""

    def __init__(self) -> None:
        self._removals: list[Removal] = []

    def add(self, removal: Removal) -> None:
        """Call this before the thing is made: a request that is cut may still have made it."""
        self._removals.append(removal)

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
