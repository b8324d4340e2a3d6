"""Answers on their way to clients: large ones stay in memory until the client has read them, so few do at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import Send

from hokusai.tracking.processes.fair_queue import FairQueue

_LARGE = 2**20
_PIECE = 2**18
#: Large answers being sent at a time, and those of one workspace.
_PLACES, _SHARE = 4, 2
#: A client that reads a large answer more slowly, in bytes a second, is given up after ``_GRACE_SECONDS``.
_MIN_RATE = 2**17
_GRACE_SECONDS = 10


class Answers:
    """Sends answers. Raises ``errors.Busy`` or ``WorkspaceQueueFull`` where too many large ones are not read."""

    def __init__(self, *, seconds: float) -> None:
        self._queue = FairQueue(places=_PLACES, share=_SHARE, seconds=seconds)

    @asynccontextmanager
    async def place(self, workspace: str, content: bytes) -> AsyncIterator[None]:
        """Room for an answer while the block lasts."""
        if len(content) <= _LARGE:
            yield
            return
        async with self._queue.place(workspace):
            yield

    async def send(self, send: Send, answer: dict[str, Any], content: bytes) -> None:
        """Returns when the client has read all but the last piece."""
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer["headers"]]
        await send({"type": "http.response.start", "status": answer["status"], "headers": headers})
        pieces = memoryview(content)
        try:
            async with asyncio.timeout(_GRACE_SECONDS + len(content) / _MIN_RATE):
                for start in range(0, len(content) - _PIECE, _PIECE):
                    piece = bytes(pieces[start : start + _PIECE])
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        except TimeoutError:
            raise ClientDisconnect from None
        last = (len(content) - 1) // _PIECE * _PIECE if len(content) > _PIECE else 0
        await send({"type": "http.response.body", "body": bytes(pieces[last:])})
