"""Files from the page cache into the socket, past this process's memory (``sendfile(2)``)."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

#: ASGI's message and extension of this name (its specification, "Zero Copy Send").
ZEROCOPY = "http.response.zerocopysend"

#: Bytes read at once, while the transport still has something of its own to send, or for want of a better way.
_READ = 256 * 1024
#: What a file system says that cannot do it.
_UNABLE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
#: What the network says of a client that has gone without a word.
_UNREACHED = frozenset({errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH})
#: Calls at a time: each lasts until the socket's buffer is full, or for as long as a disk takes.
_THREADS = 8

T = TypeVar("T")

_threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="sendfile")


def available(transport: asyncio.Transport) -> bool:
    """Whether what is written to the connection's socket is what the client gets."""
    return hasattr(os, "sendfile") and transport.get_extra_info("sslcontext") is None


class SendFile:
    """ASGI's ``send`` for one response, which also takes stretches of files.

    A stretch is sent on a thread, for its pages may have to come from a disk. Between two calls the event
    loop waits until the socket takes more; ``wake`` ends that when the connection is lost.
    """

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._send = cycle.send
        self._writable = asyncio.Event()
        self._unable = False

    async def __call__(self, message: Any) -> None:
        if message["type"] != ZEROCOPY:
            await self._send(message)
            return
        cycle, count, more = self._cycle, message["count"], message.get("more_body", False)
        if cycle.disconnected or cycle.transport.is_closing():
            return
        if cycle.chunked_encoding is not False or count > cycle.expected_content_length:
            raise RuntimeError("a stretch of a file has to fit into the response's Content-Length")
        with _Pair(cycle.transport, message["file"]) as pair:
            sent = await self._stretch(pair, message["offset"], count)
        if sent == count and not more:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def wake(self) -> None:
        self._writable.set()

    async def _stretch(self, pair: _Pair, offset: int, count: int) -> int:
        """Returns how much of it was sent: all, where the client is still there."""
        sent = 0
        while sent < count and not self._cycle.disconnected:
            if self._unable or self._cycle.transport.get_write_buffer_size():  # which comes first
                piece = await pair.run(os.pread, pair.file, min(count - sent, _READ), offset + sent)
                sent += len(piece)
                if not piece:
                    raise _shorter()
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})
            elif done := await self._some(pair, offset + sent, count - sent):
                sent += done
                self._cycle.expected_content_length -= done
            elif not self._unable:
                await self._until_writable(pair.socket)
        return sent

    async def _some(self, pair: _Pair, offset: int, count: int) -> int:
        """What the socket takes now; 0 where that is nothing."""
        try:
            if done := await pair.run(os.sendfile, pair.socket, pair.file, offset, count):
                return done
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno in _UNABLE:
                self._unable = True
            elif isinstance(error, ConnectionError) or error.errno in _UNREACHED:
                self._cycle.transport.abort()  # it tells everybody that the client has gone
                self._cycle.disconnected = True
            else:
                raise
            return 0
        raise _shorter()

    async def _until_writable(self, descriptor: int) -> None:
        loop = asyncio.get_running_loop()
        self._writable.clear()
        if self._cycle.disconnected:  # while the thread was at it
            return
        loop.add_writer(descriptor, self._writable.set)
        try:
            await self._writable.wait()
        finally:
            loop.remove_writer(descriptor)


def _shorter() -> OSError:
    return OSError(errno.EIO, "the file is shorter than it was")


class _Pair:
    """Descriptors of our own for a connection and a file, closed when no thread uses them any more."""

    def __init__(self, transport: asyncio.Transport, file: int) -> None:
        self.socket = -1
        self.file = os.dup(file)
        self._running: Future[Any] | None = None
        try:
            self.socket = os.dup(transport.get_extra_info("socket").fileno())
        except OSError:
            self._close()
            raise

    def __enter__(self) -> _Pair:
        return self

    async def run(self, call: Callable[..., T], *args: Any) -> T:
        self._running = running = _threads.submit(call, *args)
        return await asyncio.wrap_future(running)

    def __exit__(self, *_: object) -> None:
        if self._running is None:
            self._close()
        else:  # called at once where it has ended, or will never begin
            self._running.add_done_callback(self._close)

    def _close(self, _: object = None) -> None:
        for descriptor in (self.file, self.socket):
            with suppress(OSError):
                os.close(descriptor)
