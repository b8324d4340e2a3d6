"""Large bodies of a stated length, straight from the socket into the buffers the application gets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from hokusai.buffers import Buffers

#: Bodies of at least this many bytes are taken in this way.
THRESHOLD = 256 * 1024
#: The most that one message holds, and that waits for the application.
BUFFER = 1 << 20

#: Buffers of one body that are used in turns: one fills, the others are with the application.
_BUFFERS = 4
#: Seconds from a message's first byte until the application gets it, full or not.
_GATHER = 0.005

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class LargeBody(asyncio.BufferedProtocol):
    """One body on its way in.

    A parser has nothing to find in a body of known length, and each of its steps would copy the
    bytes once more: from the event loop, through the parser, into a buffer, out of it. While it lasts
    this is the transport's protocol: the event loop reads from the socket into the very buffer that
    the application receives. ``done`` is called when the last byte is there.
    """

    def __init__(
        self,
        outer: asyncio.Protocol,
        cycle: RequestResponseCycle,
        flow: FlowControl,
        length: int,
        done: Callable[[], None],
    ) -> None:
        self.remaining = length
        self._outer = outer
        self._cycle = cycle
        self._flow = flow
        self._done = done
        self._buffers = Buffers(min(BUFFER, length), max_kept=_BUFFERS)
        self._buffer = self._buffers.take()
        self._filled = 0
        self._due = False  # what is there can go, for it is all there will be, or was gathered long enough
        self._timer: asyncio.TimerHandle | None = None

    def feed(self, data: bytes) -> None:
        """What the parser had in hand already: never more than the body's rest, and less than a buffer."""
        self._buffer[self._filled : self._filled + len(data)] = data
        self._take(len(data))

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._cycle.response_complete:  # it was refused: the rest is read past
            self._filled = 0
        end = min(len(self._buffer), self._filled + self.remaining)
        return self._buffer[self._filled : end]

    def buffer_updated(self, nbytes: int) -> None:
        self._take(nbytes)
        if not self.remaining:
            self._done()

    async def receive(self) -> dict[str, Any]:
        """ASGI's ``receive`` for this request: a full buffer, or what there is after a moment.

        The bytes are the receiver's for as long as it holds the message's view of them, or another.
        """
        cycle = self._cycle
        if cycle.waiting_for_100_continue and not cycle.transport.is_closing():
            cycle.transport.write(_CONTINUE)
            cycle.waiting_for_100_continue = False
        while not self._due and not (cycle.disconnected or cycle.response_complete):
            self._flow.resume_reading()
            await cycle.message_event.wait()
            cycle.message_event.clear()
        if cycle.disconnected or cycle.response_complete:
            return {"type": "http.disconnect"}
        piece = self._buffer[: self._filled]
        self._filled, self._due = 0, False
        if self.remaining:
            self._buffer = self._buffers.take()
            self._flow.resume_reading()
        return {"type": "http.request", "body": piece, "more_body": self.remaining > 0}

    def connection_lost(self, exc: Exception | None) -> None:
        self._outer.connection_lost(exc)

    def eof_received(self) -> bool | None:
        return self._outer.eof_received()

    def pause_writing(self) -> None:
        self._outer.pause_writing()

    def resume_writing(self) -> None:
        self._outer.resume_writing()

    def _take(self, count: int) -> None:
        self.remaining -= count
        if self._cycle.response_complete:
            return
        self._filled += count
        if self._filled == len(self._buffer):
            self._flow.pause_reading()
        if self._filled == len(self._buffer) or not self.remaining:
            self._hand_over()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_GATHER, self._hand_over)

    def _hand_over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = self._filled > 0
        self._cycle.message_event.set()
