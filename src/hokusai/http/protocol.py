"""HTTP/1.1 on one connection: what is refused before a request reaches the application."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections import deque
from collections.abc import Iterator
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from hokusai import errors
from hokusai.http.large_body import THRESHOLD, LargeBody
from hokusai.http.sendfile import ZEROCOPY, SendFile, available

log = logging.getLogger("hokusai.http.protocol")

#: A path, ``*``, or a whole URL without user and password (RFC 9112, 3.2).
_TARGET = re.compile(rb"/.*|\*|https?://[^/?@]+(?:[/?].*)?", re.IGNORECASE)


class Protocol(HttpToolsProtocol):
    """Uvicorn's protocol with bounds on what nobody has read yet, and with our answers.

    A request line with its headers takes at most ``head_bytes``, and is complete ``head_seconds``
    after its first byte (RFC 9110, 15.5.9 and RFC 6585, 5); so are a chunk's framing and trailers
    at most as large. Trailers are read past: what stands there is no header (RFC 9110, 6.5.1). A
    process has at most ``most_connections`` open; one more is closed at once.
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
        self._refused: errors.HokusaiError | None = None
        self._unanswered: deque[RequestResponseCycle] = deque()  # oldest first
        self._intake: LargeBody | None = None

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
        for cycle in self._unanswered:  # uvicorn tells the last one alone
            _hang_up(cycle)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused is not None:
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
        else:
            if self._intake is not None and self._intake.remaining:
                self.transport.set_protocol(self._intake)

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

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        self._unread = 0
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > self.head_bytes:
            raise errors.HeadersTooLarge(limit=self.head_bytes)
        version, method = self.parser.get_http_version(), self.parser.get_method()
        if fault := next(_faults(version, method, self.url, self.headers), None):
            raise errors.RequestMalformed(reason=fault)
        super().on_headers_complete()
        self._unanswered.append(self.cycle)
        self._in_body = True
        if available(self.transport):
            self.cycle.send = SendFile(self.cycle)  # type: ignore[method-assign]
            self.scope["extensions"] = {ZEROCOPY: {}}
        length = next((int(value) for name, value in self.headers if name == b"content-length"), 0)
        if length >= THRESHOLD and len(self._unanswered) == 1:
            self._intake = LargeBody(self, self.cycle, self.flow, length=length, done=self._body_ends)
            self.cycle.receive = self._intake.receive  # type: ignore[assignment, method-assign]

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        if self._intake is not None:
            self._intake.feed(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._unread = 0
        self._in_body = False
        self._intake = None
        super().on_message_complete()
        if not self.parser.should_keep_alive():  # a trailer may say so too; the parser reads no more
            if self.cycle.response_complete:
                self.transport.close()
            self.cycle.keep_alive = False

    def _body_ends(self) -> None:
        """What comes next is for a parser again: a new one, for the last has not seen the body."""
        self.transport.set_protocol(self)
        self.on_message_complete()
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does

    def on_response_complete(self) -> None:
        vars(self._unanswered.popleft()).pop("send", None)  # which refers to it: no work for the garbage collector
        super().on_response_complete()
        if self._refused is not None and not self._unanswered:
            self._unset_keepalive_if_required()
            self._end(self._refused)

    def _await_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.head_seconds, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self._unanswered:
            self._await_head()  # a pipelined request: reading may pause until its forerunner is answered
        else:
            self._refuse(errors.HeadersTooSlow(seconds=self.head_seconds))

    def _refuse(self, error: errors.HokusaiError) -> None:
        """Take no more requests from this connection, and end it once those before are answered."""
        self._refused = error
        self._stop_waiting()
        if self._in_body:
            self._abandon()
        if not self._unanswered:
            self._end(error)

    def _abandon(self) -> None:
        """Give up the request whose body cannot be read: the refusal is the answer to it, if one is due."""
        cycle = self.cycle
        if cycle.response_complete:
            return
        self._unanswered.pop()
        if self.pipeline:
            self.pipeline.popleft()
            return
        if cycle.response_started:
            self.transport.close()
        _hang_up(cycle)

    def _end(self, error: errors.HokusaiError) -> None:
        """Answer, where an answer is expected, and end the connection.

        What the client is still sending is read and dropped for ``linger_seconds``: closing at once
        would reset the connection, and the answer could be lost (RFC 9112, 9.6).
        """
        if self.transport.is_closing():
            return
        request_id = secrets.token_hex(8)
        log.info("request %s was refused: %s %s", request_id, error.code, error)
        self.loop.call_later(self.linger_seconds, self.transport.abort)
        if self._in_body and self.cycle.response_complete:
            self.transport.close()
            return
        self.transport.write(self._answer(error, request_id))
        self.flow.resume_reading()
        self.transport.write_eof()

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


def _hang_up(cycle: RequestResponseCycle) -> None:
    """For the application, the client has gone; nothing that it says goes out any more."""
    cycle.waiting_for_100_continue = False
    cycle.disconnected = True
    cycle.message_event.set()
    if isinstance(cycle.send, SendFile):
        cycle.send.wake()


def _faults(version: str, method: bytes, target: bytes, headers: list[tuple[bytes, bytes]]) -> Iterator[str]:
    """What the parser lets through, and another server on the way may read in another way."""
    if version not in {"1.0", "1.1"}:
        yield "its version is neither 1.0 nor 1.1"
    if method == b"CONNECT":
        yield "this is not a proxy"  # the parser would take what follows for another protocol
    if b"#" in target or not _TARGET.fullmatch(target):
        yield "its target is not a path"
    names = [name for name, _ in headers]
    hosts = names.count(b"host")
    if hosts > 1 or (not hosts and version == "1.1"):
        yield "it needs exactly one Host header"  # RFC 9112, 3.2
    codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    if codings and (codings != [b"chunked"] or version == "1.0"):
        yield "its Transfer-Encoding is not just chunked"  # RFC 9112, 6.1
    if b"upgrade" in names and (codings or _has_length(headers)):
        yield "it has both a body and an Upgrade header"  # as CONNECT: the body would be lost


def _has_length(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(int(value) for name, value in headers if name == b"content-length")


def _reason(error: httptools.HttpParserError) -> errors.HokusaiError:
    """What went wrong, without the bytes that were sent: they may hold a key."""
    if isinstance(error.__context__, errors.HokusaiError):
        return error.__context__
    if isinstance(error, httptools.HttpParserCallbackError):
        return errors.RequestMalformed(reason="its target is not a path")
    return errors.RequestMalformed(reason=str(error) or "it is not HTTP/1.1")
