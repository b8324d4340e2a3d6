"""HTTP/1.1 on one connection: uvicorn's protocol, with limits on everything that no application has seen yet.

Theory of operation
===================

Uvicorn's ``HttpToolsProtocol`` parses requests, queues pipelined ones, and runs the application for each
(``RequestResponseCycle``). This class adds what uvicorn leaves to a proxy: limits on the size of headers and the time
they take, on connections, and refusals of requests that another server on the way could read differently.

Receiving is always in one of these states:

============  ===================================================  ==================================================
state         what it means                                        what ends it
============  ===================================================  ==================================================
idle          no byte of the next request has arrived              a byte: *head*; the keep-alive time-out: closed
head          a request line and its headers are arriving          complete: *body*; too large, too slow or malformed:
                                                                   *refused*
body          a body is parsed and passed to the application       its end: *idle*; malformed: *refused*
large body    a body of known length, at least ``THRESHOLD``,      its last byte: *idle*, with a new parser
              goes past the parser (``LargeBody`` is the
              transport's protocol)
refused       a request could not be read. Nothing more is         the last earlier request is answered: *lingering*
              parsed; earlier requests are still being answered
lingering     the refusal is sent and our side is closed; what     the client closes, or ``linger_seconds``: closed
              still arrives is dropped
============  ===================================================  ==================================================

In the code, *head* is ``_deadline is not None``; *body* is ``_in_body``; *large body* is ``_large_body is not None``;
*refused* and *lingering* are ``_refused is not None``.

Invariants:

- At most ``head_bytes`` are held that belong to nothing complete: ``_unread`` counts bytes since the last complete
  head, piece of body or message.
- A request reaches the application only after all checks of its head, and gets exactly one response. Responses are
  in the order of the requests: ``_unanswered`` has them, the oldest first.
- A refusal is sent after all earlier responses, and nothing is sent after it.
- Every state ends by itself: by a timer, or because the application's own limits end the request that it waits for.
- A body goes past the parser only when its request is the only unanswered one, so no byte of a pipelined request can
  be taken for a part of it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import socket
import struct
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from hokusai import errors
from hokusai.asgi import EMPTY_QUERY, RESET, ZERO_COPY_SEND
from hokusai.http.large_body import THRESHOLD, LargeBody
from hokusai.http.sendfile import SendFile, available

log = logging.getLogger("hokusai.http.protocol")

#: A path, ``*``, or a whole URL without user and password (RFC 9112, 3.2).
_TARGET = re.compile(rb"/.*|\*|https?://[^/?@]+(?:[/?].*)?", re.IGNORECASE)


class Protocol(HttpToolsProtocol):
    """One connection. See the theory of operation above.

    A request line with its headers has at most ``head_bytes``, and is complete ``head_seconds`` after its first byte
    (RFC 9110, 15.5.9 and RFC 6585, 5). The framing of a chunk and trailers have the same limit. Trailers are ignored:
    a field there is not a header (RFC 9110, 6.5.1). A process has at most ``max_connections`` open, and closes any
    further one at once.
    """

    head_bytes = 64 * 1024
    head_seconds = 20.0
    linger_seconds = 2.0
    max_connections = 4096

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._in_body = False
        self._unread = 0  # bytes received since the last complete head, piece of body or message
        self._refused: errors.HokusaiError | None = None
        self._unanswered: deque[RequestResponseCycle] = deque()  # oldest first
        self._large_body: LargeBody | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            log.warning(
                "a new connection was closed: %d are open already, the most for one process", self.max_connections
            )
            transport.abort()
            return
        # Uvicorn starts this timer after a response only, and a client may connect and never send a byte.
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_deadline()
        self._unset_keepalive_if_required()
        for cycle in self._unanswered:  # uvicorn tells only the last one
            _disconnect(cycle)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused is not None:
            return
        if not self._in_body:
            self._unset_keepalive_if_required()
            self._start_deadline()
        self._unread += len(data)
        try:
            self._feed(memoryview(data))
            if self._unread > self.head_bytes:
                raise errors.HeadersTooLarge(limit=self.head_bytes)
        except errors.HokusaiError as error:
            self._refuse(error)
        else:
            if self._large_body is not None and self._large_body.remaining:
                self.transport.set_protocol(self._large_body)

    def _feed(self, data: memoryview) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as ended:
                # We never switch to another protocol (RFC 9110, 7.8): what follows is the next request.
                data = data[ended.args[0] :]
            except httptools.HttpParserError as error:
                raise _reason(error) from error
            else:
                return

    def on_message_begin(self) -> None:
        self._start_deadline()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._stop_deadline()
        self._unread = 0
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > self.head_bytes:
            raise errors.HeadersTooLarge(limit=self.head_bytes)
        version, method = self.parser.get_http_version(), self.parser.get_method()
        if fault := next(_faults(version, method, self.url, self.headers), None):
            raise errors.RequestMalformed(reason=fault)
        super().on_headers_complete()
        self._unanswered.append(self.cycle)
        self._in_body = True
        if self.url.endswith(b"?") and not self.scope["query_string"]:
            self.scope[EMPTY_QUERY] = True  # type: ignore[literal-required]
        self.scope["extensions"] = {RESET: {"call": partial(_reset, self.transport)}}
        if available(self.transport):
            self.cycle.send = SendFile(self.cycle)  # type: ignore[method-assign]
            self.scope["extensions"][ZERO_COPY_SEND] = {}
        length = next((int(value) for name, value in self.headers if name == b"content-length"), 0)
        if length >= THRESHOLD and len(self._unanswered) == 1:
            self._large_body = LargeBody(self, self.cycle, self.flow, length=length, done=self._large_body_ends)
            self.cycle.receive = self._large_body.receive  # type: ignore[assignment, method-assign]

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        if self._large_body is not None:
            self._large_body.feed(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._unread = 0
        self._in_body = False
        self._large_body = None
        super().on_message_complete()
        if not self.parser.should_keep_alive():  # a trailer may end it too; the parser reads nothing after it
            if self.cycle.response_complete:
                self.transport.close()
            self.cycle.keep_alive = False

    def _large_body_ends(self) -> None:
        """The next request is for a parser again: for a new one, because the old one has not seen the body."""
        self.transport.set_protocol(self)
        self.on_message_complete()
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does

    def on_response_complete(self) -> None:
        vars(self._unanswered.popleft()).pop(
            "send", None
        )  # a reference cycle, which would have to wait for the garbage collector
        super().on_response_complete()
        if self._refused is not None and not self._unanswered:
            self._unset_keepalive_if_required()
            self._send_refusal(self._refused)

    def _start_deadline(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.head_seconds, self._too_slow)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self._unanswered:
            self._start_deadline()  # pipelined: reading may be paused until the request before is answered
        else:
            self._refuse(errors.HeadersTooSlow(seconds=self.head_seconds))

    def _refuse(self, error: errors.HokusaiError) -> None:
        """Read no more requests from this connection, and end it once the earlier ones are answered."""
        self._refused = error
        self._stop_deadline()
        if self._in_body:
            self._abandon()
        if not self._unanswered:
            self._send_refusal(error)

    def _abandon(self) -> None:
        """Drop the request whose body cannot be read: the refusal is its response, unless it has one already."""
        cycle = self.cycle
        if cycle.response_complete:
            return
        self._unanswered.pop()
        if self.pipeline:
            self.pipeline.popleft()
            return
        if cycle.response_started:
            self.transport.close()
        _disconnect(cycle)

    def _send_refusal(self, error: errors.HokusaiError) -> None:
        """Send the refusal, unless the request has its response already, and end the connection.

        What the client still sends is read and dropped for ``linger_seconds``: closing at once would reset the
        connection, and the refusal could be lost (RFC 9112, 9.6).
        """
        if self.transport.is_closing():
            return
        request_id = secrets.token_hex(8)
        log.info("request %s was refused: %s %s", request_id, error.code, error)
        self.loop.call_later(self.linger_seconds, self.transport.abort)
        if self._in_body and self.cycle.response_complete:
            self.transport.close()
            return
        self.transport.write(self._response(error, request_id))
        self.flow.resume_reading()
        self.transport.write_eof()

    def _response(self, error: errors.HokusaiError, request_id: str) -> bytes:
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


def _disconnect(cycle: RequestResponseCycle) -> None:
    """Tell the application that the client has disconnected. Nothing that it sends goes out any more."""
    cycle.waiting_for_100_continue = False
    cycle.disconnected = True
    cycle.message_event.set()
    if isinstance(cycle.send, SendFile):
        cycle.send.wake()


def _reset(transport: asyncio.Transport) -> None:
    """Close with RST and not with FIN, which older clients take for the end of any response (RFC 9293, 3.10.5)."""
    connection = transport.get_extra_info("socket")
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _faults(version: str, method: bytes, target: bytes, headers: list[tuple[bytes, bytes]]) -> Iterator[str]:
    """What the parser accepts, and a proxy or another server may read differently."""
    if version not in {"1.0", "1.1"}:
        yield "its version is neither 1.0 nor 1.1"
    if method == b"CONNECT":
        yield "this is not a proxy"  # after CONNECT the parser would take everything for another protocol
    if b"#" in target or not _TARGET.fullmatch(target):
        yield "its target is not a path"
    names = [name for name, _ in headers]
    hosts = names.count(b"host")
    if hosts > 1 or (not hosts and version == "1.1"):
        yield "it must have one Host header"  # RFC 9112, 3.2
    codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    if codings and (codings != [b"chunked"] or version == "1.0"):
        yield "its Transfer-Encoding is not just chunked"  # RFC 9112, 6.1
    if b"upgrade" in names and (codings or _has_length(headers)):
        yield "it has both a body and an Upgrade header"  # as with CONNECT, the body would be lost


def _has_length(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(int(value) for name, value in headers if name == b"content-length")


def _reason(error: httptools.HttpParserError) -> errors.HokusaiError:
    """The refusal. It does not repeat what the client sent, which may contain a key."""
    if isinstance(error.__context__, errors.HokusaiError):
        return error.__context__
    if isinstance(error, httptools.HttpParserCallbackError):
        return errors.RequestMalformed(reason="its target is not a path")
    return errors.RequestMalformed(reason=str(error) or "it is not HTTP/1.1")
