"""Large bodies of known length, read from the socket directly into the buffers that the application receives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from hokusai.buffers import Buffers
from hokusai.http.reading import Reading, scratch

#: Bodies of at least this many bytes are received in this way.
THRESHOLD = 256 * 1024
#: The most bytes in one message, and the most that wait for the application.
BUFFER = 1 << 20

#: Buffers for one body: one is being filled, the others are in use by the application.
_BUFFERS = 4
#: Seconds after its first byte until a buffer is delivered to the application, full or not.
_COLLECT_SECONDS = 0.005

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class LargeBody(Reading):
    """Receives one body.

    A parser has nothing to parse in a body of known length, and copies its bytes several times: from the event loop,
    through the parser, into a buffer and out of it. Until the body is complete, this object is the transport's
    protocol instead: the event loop reads from the socket into the same buffer that the application receives.
    ``done`` is called after the last byte.

    There is no buffer, and nothing is read, before the application asks for the body: then it knows whose it is.
    """

    def __init__(
        self,
        outer: asyncio.Protocol,
        cycle: RequestResponseCycle,
        flow: FlowControl,
        length: int,
        done: Callable[[], None],
    ) -> None:
        super().__init__(outer)
        self.remaining = length
        self._cycle = cycle
        self._flow = flow
        self._done = done
        self._early: list[bytes] = []
        self._buffers = Buffers(min(BUFFER, length), max_kept=_BUFFERS)
        self._buffer: memoryview | None = None  # of the bytes that are read next
        self._filled = 0
        self._ready = False  # the buffer can be delivered: full, collected long enough, or the end of the body
        self._timer: asyncio.TimerHandle | None = None
        flow.pause_reading()

    def feed(self, data: bytes) -> None:
        """Bytes that the parser had received already: never beyond the body, and less than a buffer."""
        if self._buffer is None:
            self._early.append(data)
            self.remaining -= len(data)
        else:
            self._buffer[self._filled : self._filled + len(data)] = data
            self._received(len(data))

    def drop(self) -> None:
        """The response is complete: let go of all memory. What still arrives is counted and dropped."""
        self._cancel_timer()
        self._early.clear()
        self._buffer = None
        self._buffers = Buffers(0, max_kept=0)

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._buffer is None:
            return scratch.buffer[: self.remaining]
        return self._buffer[self._filled : self._filled + self.remaining]

    def buffer_updated(self, nbytes: int) -> None:
        self._received(nbytes)
        if not self.remaining:
            self._done()

    async def receive(self) -> dict[str, Any]:
        """ASGI's ``receive`` for this request: a full buffer, or what has arrived after a moment.

        The bytes belong to the receiver while it holds the message's view of them, or one made from it.
        """
        cycle = self._cycle
        if cycle.waiting_for_100_continue and not cycle.transport.is_closing():
            cycle.transport.write(_CONTINUE)
            cycle.waiting_for_100_continue = False
        if self._buffer is None and not (cycle.disconnected or cycle.response_complete):
            self._begin()
        while not self._ready and not (cycle.disconnected or cycle.response_complete):
            self._flow.resume_reading()
            await cycle.message_event.wait()
            cycle.message_event.clear()
        if cycle.disconnected or cycle.response_complete:
            return {"type": "http.disconnect"}
        assert self._buffer is not None
        piece = self._buffer[: self._filled]
        self._filled, self._ready = 0, False
        if self.remaining:
            self._buffer = self._buffers.take()
            self._flow.resume_reading()
        return {"type": "http.request", "body": piece, "more_body": self.remaining > 0}

    def _begin(self) -> None:
        """Take a buffer, with what had arrived before."""
        early, self._early = self._early, []
        self.remaining += sum(map(len, early))
        self._buffer = self._buffers.take()
        for data in early:
            self.feed(data)

    def _received(self, count: int) -> None:
        self.remaining -= count
        if self._buffer is None:
            return
        self._filled += count
        if self._filled == len(self._buffer):
            self._flow.pause_reading()
        if self._filled == len(self._buffer) or not self.remaining:
            self._deliver()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_COLLECT_SECONDS, self._deliver)

    def _deliver(self) -> None:
        self._cancel_timer()
        self._ready = self._filled > 0
        self._cycle.message_event.set()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
