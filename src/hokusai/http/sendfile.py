"""Files sent from the page cache to the socket, without passing through this process (``sendfile(2)``)."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from hokusai.asgi import ZERO_COPY_SEND

#: Bytes in one read, where ``sendfile`` cannot be used: not supported, or the transport has data of its own to send.
_READ = 256 * 1024
#: Errors of a file system that does not support ``sendfile``.
_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
#: Errors of a connection whose client has vanished.
_UNREACHABLE = frozenset({errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH})
#: Calls at a time. Each lasts until the socket's buffer is full, or as long as the disk takes.
_THREADS = 8

T = TypeVar("T")

_threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="sendfile")


def available(transport: asyncio.Transport) -> bool:
    """Whether the client gets what is written to the socket as it is: not so with TLS."""
    return hasattr(os, "sendfile") and transport.get_extra_info("sslcontext") is None


class SendFile:
    """ASGI's ``send`` for one response, which also accepts slices of files (``ZERO_COPY_SEND``).

    A slice is sent on a thread, because its pages may have to be read from a disk. Between two calls the event loop
    waits until the socket is writable; ``wake`` ends that wait when the connection is lost.
    """

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._send = cycle.send
        self._writable = asyncio.Event()
        self._unsupported = False

    async def __call__(self, message: Any) -> None:
        if message["type"] != ZERO_COPY_SEND:
            await self._send(message)
            return
        cycle, count, more = self._cycle, message["count"], message.get("more_body", False)
        if cycle.disconnected or cycle.transport.is_closing():
            return
        if cycle.chunked_encoding is not False or count > cycle.expected_content_length:
            raise RuntimeError("a slice of a file must fit into the response's Content-Length")
        with _Descriptors(cycle.transport, message["file"]) as descriptors:
            sent = await self._send_slice(descriptors, message["offset"], count)
        if sent == count and not more:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def wake(self) -> None:
        self._writable.set()

    async def _send_slice(self, descriptors: _Descriptors, offset: int, count: int) -> int:
        """Returns how many bytes were sent: all of them, unless the client has disconnected."""
        sent = 0
        while sent < count and not self._cycle.disconnected:
            if self._unsupported or self._cycle.transport.get_write_buffer_size():  # it comes first
                piece = await descriptors.run(os.pread, descriptors.file, min(count - sent, _READ), offset + sent)
                sent += len(piece)
                if not piece:
                    raise _shorter()
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})
            elif done := await self._sendfile(descriptors, offset + sent, count - sent):
                sent += done
                self._cycle.expected_content_length -= done
            elif not self._unsupported:
                await self._until_writable(descriptors.socket)
        return sent

    async def _sendfile(self, descriptors: _Descriptors, offset: int, count: int) -> int:
        """How many bytes the socket accepted now; 0 for none."""
        try:
            if done := await descriptors.run(os.sendfile, descriptors.socket, descriptors.file, offset, count):
                return done
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                self._unsupported = True
            elif isinstance(error, ConnectionError) or error.errno in _UNREACHABLE:
                self._cycle.transport.abort()  # and everybody learns that the client has gone
                self._cycle.disconnected = True
            else:
                raise
            return 0
        raise _shorter()

    async def _until_writable(self, descriptor: int) -> None:
        loop = asyncio.get_running_loop()
        self._writable.clear()
        if self._cycle.disconnected:  # during the call on the thread
            return
        loop.add_writer(descriptor, self._writable.set)
        try:
            await self._writable.wait()
        finally:
            loop.remove_writer(descriptor)


def _shorter() -> OSError:
    return OSError(errno.EIO, "the file has become shorter")


class _Descriptors:
    """Duplicates of the descriptors of a connection and a file, closed once no thread uses them any more."""

    def __init__(self, transport: asyncio.Transport, file: int) -> None:
        self.socket = -1
        self.file = os.dup(file)
        self._running: Future[Any] | None = None
        try:
            self.socket = os.dup(transport.get_extra_info("socket").fileno())
        except OSError:
            self._close()
            raise

    def __enter__(self) -> _Descriptors:
        return self

    async def run(self, call: Callable[..., T], *args: Any) -> T:
        self._running = running = _threads.submit(call, *args)
        return await asyncio.wrap_future(running)

    def __exit__(self, *_: object) -> None:
        if self._running is None:
            self._close()
        else:  # at once where the call has ended, or will never begin
            self._running.add_done_callback(self._close)

    def _close(self, _: object = None) -> None:
        for descriptor in (self.file, self.socket):
            with suppress(OSError):
                os.close(descriptor)
