"""HTTP/1.1 on one connection: uvicorn's protocol, with limits on everything that no application has seen yet.

Theory of operation
===================

Uvicorn's ``HttpToolsProtocol`` parses requests and runs the application for each (``RequestResponseCycle``). This class
adds what uvicorn leaves to a proxy: limits on connections, on the size of headers and the time they take, on what is
held for a client before it is known who it is, and refusals of requests that another server on the way could read
differently.

Receiving is always in one of these states:

============  ===================================================  ==================================================
state         what it means                                        what ends it
============  ===================================================  ==================================================
idle          no byte of the next request has arrived              a byte: *head*; the idle time-out: closed
head          a request line and its headers are arriving          complete: *body*; too large, too slow or malformed:
                                                                   *refused*
body          a body is parsed and passed to the application       its end: *idle*; malformed: *refused*; the response
                                                                   is complete before it: *unread body*
large body    a body of known length, at least ``THRESHOLD``,      its last byte: *idle*, with a new parser; the
              goes past the parser (``LargeBody`` is the           response is complete before it: *unread body*
              transport's protocol)
unread body   the request has its response, and its body is        the end of the body: *idle*; the client closes, or
              still arriving; what arrives is dropped              ``linger_seconds``: closed
ended         a response has announced that it is the last one.    the client closes, or ``linger_seconds``: closed
              Our side is closed; what still arrives is dropped
refused       a request could not be read. Nothing more is         the earlier request is answered: *lingering*
              parsed; an earlier request is still being answered
lingering     the refusal is sent and our side is closed; what     the client closes, or ``linger_seconds``: closed
              still arrives is dropped
============  ===================================================  ==================================================

In the code, *head* is ``_deadline is not None``; *body* is ``_in_body``; *large body* is ``_large_body is not None``;
*unread body* is ``_linger is not None``; *ended* is ``_ended``; *refused* and *lingering* are ``_refused is not None``.

Invariants:

- At most ``head_bytes`` of incomplete input are held: ``_unread`` counts bytes since the last complete
  head, piece of body or message.
- Of a body, at most two reads are held until the application asks for it, which it does when it knows the principal.
- A request reaches the application only after all checks of its head, and gets exactly one response. Responses are
  in the order of the requests: what arrives behind a request stays unparsed (``_held``) until that has its response.
  Where a blank line arrived in two parts, one more request may be parsed, and waits (uvicorn's ``pipeline``).
- A refusal is sent after all earlier responses, and nothing is sent after it, nor after a last response.
- Every state ends by itself: by a timer, or because the application's own limits end the request that it waits for. A
  client that does not read its responses is given up after ``stall_seconds``.
- What a request has taken is let go with its response.
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
from uvicorn.protocols.http.flow_control import CLOSE_HEADER, HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from hokusai import errors
from hokusai.asgi import EMPTY_QUERY, RESET, ZERO_COPY_SEND
from hokusai.http.connections import Connections
from hokusai.http.large_body import THRESHOLD, LargeBody
from hokusai.http.reading import SmallReads
from hokusai.http.sendfile import SendFile, available
from hokusai.identity import PRINCIPAL

log = logging.getLogger("hokusai.http.protocol")

#: A path, ``*``, or a whole URL without user and password (RFC 9112, 3.2).
_TARGET = re.compile(rb"/.*|\*|https?://[^/?@]+(?:[/?].*)?", re.IGNORECASE)
#: Bytes of a body that are held before the application asks for it; and the most pieces, each of which is a chunk.
_EARLY_BYTES, _MAX_PIECES = 4 * 1024, 512
#: Bytes that wait for a client without a key to read them, before the application waits too.
_STRANGER_WRITES = 16 * 1024
_WRITES = 64 * 1024


class Protocol(HttpToolsProtocol):
    """One connection. See the theory of operation above.

    A request line with its headers has at most ``head_bytes`` and ``max_headers``, its target ``target_bytes`` before
    the query, and it is complete ``head_seconds`` after its first byte (RFC 9110, 15.5.9 and 15.5.15; RFC 6585, 5). The
    framing of a chunk and trailers have the limit of a head. Trailers are ignored: a field there is not a header
    (RFC 9110, 6.5.1).

    ``connections`` limits how many are open. A stranger, who has sent no good key on this connection and is not a
    trusted proxy, may be idle for ``stranger_idle_seconds``, others for uvicorn's ``timeout_keep_alive``. A client may
    take ``stall_seconds`` to read what waits for it, a stranger ``stranger_stall_seconds``.
    """

    head_bytes = 32 * 1024
    target_bytes = 8 * 1024
    max_headers = 100
    head_seconds = 20.0
    linger_seconds = 2.0
    stranger_idle_seconds = 20
    stall_seconds = 300.0
    stranger_stall_seconds = 10.0

    def __init__(self, *args: Any, connections: Connections | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._all = connections
        self._is_stranger = True
        self._reading = SmallReads(self, self._is_known_body)
        self._deadline: asyncio.TimerHandle | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._in_body = False
        self._body_left: int | None = 0  # bytes; None where the length is not known
        self._pieces = 0  # of the body, that wait for the application
        self._unread = 0  # bytes received since the last complete head, piece of body or message
        self._held = b""  # received behind a request that has no response yet
        self._refused: errors.HokusaiError | None = None
        self._unanswered: deque[RequestResponseCycle] = deque()  # oldest first
        self._large_body: LargeBody | None = None
        self._last: RequestResponseCycle | None = None  # its response announces the end of the connection
        self._ended = False

    def end_after(self, cycle: RequestResponseCycle) -> None:
        """The response of ``cycle`` announces the end of the connection: nothing behind it is answered."""
        self._last = cycle

    @property
    def is_waiting(self) -> bool:
        """Whether no request of it is being answered."""
        return not self._unanswered

    def abort(self) -> None:
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = self._flow = _Flow(transport)
        address = self.client[0] if self.client else "unknown"
        if self._all is not None and not self._all.admit(self, address):
            transport.abort()
            return
        if self._all is not None and self._all.is_trusted(address):
            self._is_stranger = False
        else:
            self.timeout_keep_alive = min(self.stranger_idle_seconds, self.timeout_keep_alive)
            transport.set_write_buffer_limits(high=_STRANGER_WRITES)
        transport.set_protocol(self._reading)
        self._start_idle()  # uvicorn does so after a response only, and a client may connect and never send a byte

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_deadline()
        for timer in (self._linger, self._stall):
            if timer is not None:
                timer.cancel()
        self._unset_keepalive_if_required()
        self._held = b""
        if self._all is not None:
            self._all.leave(self)
        for cycle in self._unanswered:  # uvicorn tells only the last one
            _disconnect(cycle)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused is not None or self._ended:
            return
        if self._held or (self._unanswered and not self._in_body):
            self._hold(data)
        else:
            self._receive(data)

    def _is_known_body(self) -> bool:
        return bool(self._in_body and self._body_left) and PRINCIPAL in self.cycle.scope

    def _receive(self, data: bytes) -> None:
        if not self._in_body:
            self._unset_keepalive_if_required()
            self._start_deadline()
        try:
            self._feed(data)
            if self._unread > self.head_bytes:
                raise self._too_large()
        except errors.HokusaiError as error:
            self._refuse(error)
        else:
            if self._large_body is not None and self._large_body.remaining:
                self.transport.set_protocol(self._large_body)

    def _feed(self, data: bytes) -> None:
        """Give ``data`` to the parser, piece by piece, until there is a whole request; what is behind it is held."""
        start = 0
        while start < len(data):
            if self._unanswered and not self._in_body:
                self._hold(data[start:])
                return
            end = self._piece(data, start)
            self._unread += end - start
            self._parse(memoryview(data)[start:end])
            start = end

    def _piece(self, data: bytes, start: int) -> int:
        """Where the next piece ends: it holds the end of one head, or of one body, at most.

        A head ends with a blank line, and so does a chunked body.
        """
        if self._in_body and self._body_left is not None:
            return min(len(data), start + self._body_left)
        blank = data.find(b"\r\n\r\n", start)
        return len(data) if blank < 0 else blank + 4

    def _parse(self, data: memoryview) -> None:
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

    def _hold(self, data: bytes) -> None:
        self._held += data
        self._flow.full = True
        self.flow.pause_reading()

    def _release(self) -> None:
        """Go on with what was held, after a response."""
        held, self._held = self._held, b""
        self._flow.full = False
        self.flow.resume_reading()
        if held:
            self._receive(held)

    def on_message_begin(self) -> None:
        self._start_deadline()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_body:
            super().on_header(name, value)
            if len(self.headers) > self.max_headers:
                raise self._too_large()

    def on_headers_complete(self) -> None:
        self._stop_deadline()
        self._unread = 0
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > self.head_bytes:
            raise self._too_large()
        if (self.url.find(b"?") if b"?" in self.url else len(self.url)) > self.target_bytes:
            raise errors.TargetTooLong(limit=self.target_bytes)
        version, method = self.parser.get_http_version(), self.parser.get_method()
        if fault := next(_faults(version, method, self.url, self.headers), None):
            raise errors.RequestMalformed(reason=fault)
        super().on_headers_complete()
        if self.url.endswith(b"?") and not self.scope["query_string"]:
            self.scope[EMPTY_QUERY] = True  # type: ignore[literal-required]
        self.url = b""
        self._unanswered.append(self.cycle)
        self._in_body = True
        self._body_left = _length(self.headers)
        self._pieces = 0
        if self._body_left != 0:
            self.cycle.send = _EarlyAnswer(self, self.cycle)  # type: ignore[method-assign]
        self.scope["extensions"] = {RESET: {"call": partial(_reset, self.transport)}}
        if available(self.transport):
            self.cycle.send = SendFile(self.cycle)  # type: ignore[method-assign]
            self.scope["extensions"][ZERO_COPY_SEND] = {}
        if (self._body_left or 0) >= THRESHOLD and len(self._unanswered) == 1:
            self._large_body = LargeBody(
                self, self.cycle, self.flow, length=self._body_left or 0, done=self._large_body_ends
            )
            self.cycle.receive = self._large_body.receive  # type: ignore[assignment, method-assign]

    def _too_large(self) -> errors.HeadersTooLarge:
        return errors.HeadersTooLarge(limit=self.head_bytes, count=self.max_headers)

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        if self._body_left is not None:
            self._body_left -= len(body)
        if self._large_body is not None:
            self._large_body.feed(body)
            return
        super().on_body(body)
        waiting = len(self.cycle.body)
        self._pieces = self._pieces + 1 if waiting > len(body) else 1
        limit = HIGH_WATER_LIMIT if PRINCIPAL in self.cycle.scope else _EARLY_BYTES
        if (waiting > limit or self._pieces > _MAX_PIECES) and not self.cycle.response_complete:
            self.flow.pause_reading()

    def on_message_complete(self) -> None:
        self._unread = 0
        self._in_body = False
        self._large_body = None
        super().on_message_complete()
        closes = not self.parser.should_keep_alive()  # a trailer may end it too; the parser reads nothing after it
        if closes:
            self.cycle.keep_alive = False
        if not self.cycle.response_complete:
            return
        self._stop_linger()
        if closes:
            self.transport.close()
        self._forget()

    def _large_body_ends(self) -> None:
        """The next request is for a parser again: for a new one, because the old one has not seen the body."""
        self.transport.set_protocol(self._reading)
        self.on_message_complete()
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does

    def on_response_complete(self) -> None:
        cycle = self._unanswered.popleft()
        for name in ("send", "receive"):  # reference cycles, which would have to wait for the garbage collector
            vars(cycle).pop(name, None)
        if self._is_stranger and PRINCIPAL in cycle.scope:
            self._identified()
        if cycle is self._last:
            self._end()
        super().on_response_complete()
        if not self.transport.is_closing():
            self._continue_after(cycle)

    def _continue_after(self, cycle: RequestResponseCycle) -> None:
        """What follows a response."""
        if self._ended or (self._refused is None and self._in_body and self.cycle is cycle):
            self._start_linger(cycle)
        elif self._refused is not None:
            if not self._unanswered:
                self._unset_keepalive_if_required()
                self._send_refusal(self._refused)
        else:
            if not self._unanswered:
                self._forget()
            if self._held:
                self._release()

    def _identified(self) -> None:
        self._is_stranger = False
        self.timeout_keep_alive = self.config.timeout_keep_alive
        self.transport.set_write_buffer_limits(high=_WRITES)
        if self._all is not None:
            self._all.identified(self)

    def _forget(self) -> None:
        """Let go what belongs to a request that is over, unless the head of the next one has begun to arrive."""
        if self._deadline is None:
            self.cycle = self.scope = self.headers = None  # type: ignore[assignment]

    def _end(self) -> None:
        """The last response is complete. Let go what arrived behind its request (RFC 9112, 9.6)."""
        self._ended, self._last = True, None
        self._held = b""
        self._flow.full = False
        self.pipeline.clear()
        self._unanswered.clear()

    def _start_idle(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _start_linger(self, cycle: RequestResponseCycle) -> None:
        """The request has its response, and its body is still arriving. It is dropped, for a while.

        Closing at once would reset the connection, and the response could be lost (RFC 9112, 9.6).
        """
        self._unset_keepalive_if_required()
        cycle.body = bytearray()
        if self._large_body is not None:
            self._large_body.drop()
        self._linger = self.loop.call_later(self.linger_seconds, self.transport.abort)
        self.flow.resume_reading()

    def _stop_linger(self) -> None:
        """The body has arrived after all: the next request may follow."""
        if self._linger is not None and not self._ended:
            self._linger.cancel()
            self._linger = None
            self._start_idle()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stall is None:
            seconds = self.stranger_stall_seconds if self._may_be_stranger() else self.stall_seconds
            self._stall = self.loop.call_later(seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _may_be_stranger(self) -> bool:
        return self._is_stranger and not (self._unanswered and PRINCIPAL in self._unanswered[0].scope)

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
        self._held = b""
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

        What the client still sends is read and dropped for ``linger_seconds``, as for an unread body.
        """
        if self.transport.is_closing():
            return
        request_id = secrets.token_hex(8)
        log.info("request %s was refused: %s %s", request_id, error.code, error)
        if self._linger is None:
            self._linger = self.loop.call_later(self.linger_seconds, self.transport.abort)
        if self._in_body and self.cycle.response_complete:
            self.transport.close()
            return
        self.transport.write(self._response(error, request_id))
        self._flow.full = False
        self.flow.resume_reading()
        self.transport.write_eof()

    def _response(self, error: errors.HokusaiError, request_id: str) -> bytes:
        body = error.body(request_id)
        headers = [
            *self.server_state.default_headers,
            *error.headers(),
            (b"x-request-id", request_id.encode()),
            (b"content-length", str(len(body)).encode()),
            CLOSE_HEADER,
        ]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        return STATUS_LINE[error.status] + lines + b"\r\n" + body


class _Flow(FlowControl):
    """Reading is resumed by everybody who waits for bytes; here only while there is room for them."""

    full = False

    def resume_reading(self) -> None:
        if not self.full:
            super().resume_reading()


class _EarlyAnswer:
    """ASGI's ``send`` for a request with a body: a response that comes before its end may end the connection.

    It does where nothing says whether the body comes, because the client waits to be asked for it (RFC 9110, 10.1.1),
    and where the client ends the connection itself.
    """

    def __init__(self, protocol: Protocol, cycle: RequestResponseCycle) -> None:
        self._protocol = protocol
        self._cycle = cycle
        self._send = cycle.send
        self._closes = False

    async def __call__(self, message: Any) -> None:
        cycle = self._cycle
        if message["type"] == "http.response.start" and cycle.more_body:
            self._closes = cycle.waiting_for_100_continue or not cycle.keep_alive
            if self._closes:
                self._protocol.end_after(cycle)
                message = {**message, "headers": [*message.get("headers", ()), CLOSE_HEADER]}
        await self._send(message)
        if self._closes:
            if not cycle.response_complete:
                cycle.keep_alive = True  # we close it ourselves, when what the client still sends has been dropped
            elif not cycle.disconnected and not cycle.transport.is_closing():
                cycle.transport.write_eof()


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


def _length(headers: list[tuple[bytes, bytes]]) -> int | None:
    """Bytes of the body; None for a chunked one."""
    for name, value in headers:
        if name == b"content-length":
            return int(value)
        if name == b"transfer-encoding":
            return None
    return 0


def _reason(error: httptools.HttpParserError) -> errors.HokusaiError:
    """The refusal. It does not repeat what the client sent, which may contain a key."""
    if isinstance(error.__context__, errors.HokusaiError):
        return error.__context__
    if isinstance(error, httptools.HttpParserCallbackError):
        return errors.RequestMalformed(reason="its target is not a path")
    return errors.RequestMalformed(reason=str(error) or "it is not HTTP/1.1")
