"""The transport's protocol: what the event loop reads from the socket, and where to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

#: The most bytes of a request that are read at a time. What has been read before anybody knows who sends it is kept for
#: each connection, and one-byte chunks in it are parsed one by one.
READ_BYTES = 16 * 1024
#: The most where it is known who sends a body, and how long that is.
BODY_READ_BYTES = 64 * 1024


class _Scratch(threading.local):
    """One buffer for all connections of an event loop: it is read into and parsed in one go."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(BODY_READ_BYTES))
        self.small = self.buffer[:READ_BYTES]


scratch = _Scratch()


class Reading(asyncio.BufferedProtocol):
    """What a transport calls, handed on to ``outer``. Subclasses say where bytes go."""

    def __init__(self, outer: asyncio.Protocol) -> None:
        self._outer = outer

    def connection_lost(self, exc: Exception | None) -> None:
        self._outer.connection_lost(exc)

    def eof_received(self) -> bool | None:
        return self._outer.eof_received()

    def pause_writing(self) -> None:
        self._outer.pause_writing()

    def resume_writing(self) -> None:
        self._outer.resume_writing()


class SmallReads(Reading):
    """Reads ``READ_BYTES`` at most, so that a connection holds little before it is known whose it is.

    ``is_known_body`` tells whether the next bytes are of a body of known length, from a known principal.
    """

    def __init__(self, outer: asyncio.Protocol, is_known_body: Callable[[], bool]) -> None:
        super().__init__(outer)
        self._is_known_body = is_known_body

    def get_buffer(self, sizehint: int) -> memoryview:
        return scratch.buffer if self._is_known_body() else scratch.small

    def buffer_updated(self, nbytes: int) -> None:
        self._outer.data_received(bytes(scratch.buffer[:nbytes]))
