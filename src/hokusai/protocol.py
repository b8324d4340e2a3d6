"""HTTP/1.1 on one connection: what is refused before a request reaches the application."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from hokusai import errors

log = logging.getLogger("hokusai.protocol")


class Protocol(HttpToolsProtocol):
    """Uvicorn's protocol with bounds on what nobody has read yet, and with our answers.

    A request line with its headers takes at most ``head_bytes``, and is complete ``head_seconds``
    after its first byte (RFC 9110, 15.5.9 and RFC 6585, 5); so are a chunk's framing and trailers
    at most as large. A process has at most ``most_connections`` open; one more is closed at once.
    """

    head_bytes = 64 * 1024
    head_seconds = 20.0
    linger_seconds = 2.0
    most_connections = 4096

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._in_body = False
        self._unread = 0  # bytes since the parser last came to an end of something, by chunks received
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            log.warning("a connection was closed: %d are open", self.most_connections)
            transport.abort()
            return
        # Uvicorn starts it after a response only; a connection may never send a byte.
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if not self._in_body:
            self._unset_keepalive_if_required()
            self._await_head()
        self._unread += len(data)
        try:
            self._feed(memoryview(data))
            if self._unread > self.head_bytes:
                raise errors.HeadersTooLarge(limit=self.head_bytes)
        except errors.HokusaiError as error:
            self._refuse(error)

    def _feed(self, data: memoryview) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as ended:
                # No other protocol is spoken here (RFC 9110, 7.8): what follows is the next request.
                data = data[ended.args[0] :]
            except httptools.HttpParserError as error:
                raise _reason(error) from error
            else:
                return

    def on_message_begin(self) -> None:
        self._await_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        self._unread = 0
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > self.head_bytes:
            raise errors.HeadersTooLarge(limit=self.head_bytes)
        if _has_body_and_upgrade(self.headers):
            raise errors.RequestMalformed(reason="it has both a body and an Upgrade header")
        super().on_headers_complete()
        self._in_body = True

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unread = 0
        self._in_body = False
        super().on_message_complete()

    def _await_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.head_seconds, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self._running():
            self._await_head()  # a pipelined request: reading may pause until its forerunner is answered
        else:
            self._refuse(errors.HeadersTooSlow(seconds=f"{self.head_seconds:g}"))

    def _refuse(self, error: errors.HokusaiError) -> None:
        """Answer, where an answer is expected, and end the connection.

        What the client is still sending is read and dropped for ``linger_seconds``: closing at once
        would reset the connection, and the answer could be lost (RFC 9112, 9.6).
        """
        self._refused = True
        self._stop_waiting()
        if self.transport.is_closing():
            return
        request_id = secrets.token_hex(8)
        log.info("request %s was refused: %s %s", request_id, error.code, error)
        self.loop.call_later(self.linger_seconds, self.transport.abort)
        if not self._answer_expected():
            self.transport.close()
            return
        self.transport.write(self._answer(error, request_id))
        if cycle := self._running():
            cycle.waiting_for_100_continue = False
            cycle.disconnected = True
            cycle.message_event.set()
        self.flow.resume_reading()
        self.transport.write_eof()

    def _answer_expected(self) -> bool:
        """Whether the client would take an answer now for that of the request that is refused."""
        cycle = self._running()
        if cycle is None:
            return not self._in_body
        return self._in_body and not cycle.response_started and not self.pipeline

    def _running(self) -> RequestResponseCycle | None:
        """The last request, unless it has been answered."""
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first, whatever uvicorn's types say
        return None if cycle is None or cycle.response_complete else cycle

    def _answer(self, error: errors.HokusaiError, request_id: str) -> bytes:
        body = error.body(request_id)
        headers = [
            *self.server_state.default_headers,
            *error.headers(),
            (b"x-request-id", request_id.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        return STATUS_LINE[error.status] + lines + b"\r\n" + body


def _has_body_and_upgrade(headers: list[tuple[bytes, bytes]]) -> bool:
    """The parser takes what follows such a request's headers for another protocol: the body would be lost."""
    names = {name for name, _ in headers}
    lengths = [int(value) for name, value in headers if name == b"content-length"]
    return b"upgrade" in names and (b"transfer-encoding" in names or any(lengths))


def _reason(error: httptools.HttpParserError) -> errors.HokusaiError:
    """What went wrong, without the bytes that were sent: they may hold a key."""
    if isinstance(error.__context__, errors.HokusaiError):
        return error.__context__
    if isinstance(error, httptools.HttpParserCallbackError):
        return errors.RequestMalformed(reason="its target is no path")
    return errors.RequestMalformed(reason=str(error) or "it is not HTTP/1.1")
