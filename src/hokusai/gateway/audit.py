"""The outermost layer: request ids, the one shape of errors, metrics, and the audit trail."""

from __future__ import annotations

import logging
import secrets
from dataclasses import replace
from datetime import UTC, datetime

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hokusai import errors
from hokusai.asgi import ZERO_COPY_SEND
from hokusai.audit import RECORDING, AuditTrail, Changes, Entry, Merge, Recording
from hokusai.gateway.address import AddressOf
from hokusai.gateway.exchange import EXCHANGE, Exchange, header, raw_path
from hokusai.gateway.limit import network
from hokusai.gateway.metrics import Metrics
from hokusai.gateway.redaction import shown
from hokusai.gateway.route import Body, RouteTable
from hokusai.gateway.subject import MAX_ANSWER, about
from hokusai.gateway.tracing import Tracing
from hokusai.identity import ADDRESS, REQUEST_ID
from hokusai.text import escaped

log = logging.getLogger("hokusai.gateway")
#: One line for each request, where the log is JSON; of those that are merged in the trail, as many as there.
access = logging.getLogger("hokusai.access")


class Audit:
    """Gives each request an id and an ``Exchange``, renders errors, counts requests, and records them in the trail.

    A request that may have changed something has a row of its own, which is there before the answer: the artifacts app
    writes it with its change (``audit.Recording``); of the others it is recorded that they begin, and how they ended
    (``audit.Changes``). What was refused, and what only read, comes in any number: it is merged, by key or address, and
    minute (``audit.Merge``). No change begins while the trail is full.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        table: RouteTable,
        trail: AuditTrail,
        metrics: Metrics,
        address_of: AddressOf,
        tracing: Tracing | None = None,
    ) -> None:
        self.app = app
        self.table = table
        self.trail = trail
        self.metrics = metrics
        self.address_of = address_of
        self.tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        exchange = Exchange(
            request_id=secrets.token_hex(8),
            address=self.address_of(scope),
            match=self.table.find(scope["method"], raw_path(scope)),
        )
        scope[EXCHANGE] = exchange
        scope[REQUEST_ID] = exchange.request_id
        scope[ADDRESS] = exchange.address
        span = self.tracing.begin(scope, exchange) if self.tracing else None
        recorder = self._recorder(scope, exchange)
        counted = _receiving(exchange, receive)
        tagged = _sending(exchange, recorder.recording_first(send) if recorder else send)
        try:
            self._check_room(exchange)
            await self.app(scope, counted, tagged)
        except errors.HokusaiError as error:
            await self._refuse(error, exchange, scope, tagged)
        except ClientDisconnect:
            exchange.status = exchange.status or CLIENT_GONE
        except Exception as error:
            log.exception("request %s failed", exchange.request_id, extra={"request_id": exchange.request_id})
            await self._refuse(errors.Internal(), exchange, scope, tagged, cause=error)
        finally:
            self._finish(scope, exchange, recorder)
            if self.tracing and span:
                self.tracing.end(span, exchange)

    def _check_room(self, exchange: Exchange) -> None:
        if self.trail.is_full and exchange.route and exchange.route.changes:
            raise errors.AuditFull()

    async def _refuse(
        self,
        error: errors.HokusaiError,
        exchange: Exchange,
        scope: Scope,
        send: Send,
        cause: Exception | None = None,
    ) -> None:
        if isinstance(error, errors.Denied):
            exchange.refused_key_id = error.key_id
        if exchange.status:  # the response has begun: it can only be cut short
            exchange.code = error.code
            raise cause or error
        body = error.body(exchange.request_id)
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": error.status, "headers": [*error.headers(), length]})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _recorder(self, scope: Scope, exchange: Exchange) -> ChangeRecorder | None:
        """None for a request that changes nothing."""
        route = exchange.route
        if route is None or not route.changes:
            return None
        recorder = ChangeRecorder(scope, exchange, self.trail.changes)
        if route.to == "artifacts":
            scope[RECORDING] = recorder.recording = Recording(recorder.entry_of_success)
        else:
            exchange.begin = recorder.begin
        return recorder

    def _finish(self, scope: Scope, exchange: Exchange, recorder: ChangeRecorder | None) -> None:
        route = exchange.route
        self.metrics.count(route, exchange)
        recorded = True
        if is_refusal(exchange) or (route and route.action):
            found, merge = entry(scope, exchange), merge_of(exchange)
            has_row = recorder is not None and recorder.finish(merged=merge is not None)
            recorded = self.trail.note(found, merge, has_row=has_row)
        if recorded and access.isEnabledFor(logging.INFO):
            _log(scope, exchange)


class ChangeRecorder:
    """Sees to it that the change of one request is recorded before its answer is sent."""

    def __init__(self, scope: Scope, exchange: Exchange, changes: Changes) -> None:
        self.recording: Recording | None = None
        self._scope = scope
        self._exchange = exchange
        self._changes = changes
        self._has_ended = self._has_row = False

    async def begin(self) -> None:
        """Raises ``errors.Unavailable``: nothing that cannot be recorded is changed."""
        await self._changes.begin(entry(self._scope, self._exchange))
        self._exchange.has_begun = True

    def recording_first(self, send: Send) -> Send:
        """``send``, which holds back the answer to a change until its outcome is recorded."""
        held: list[Message] = []

        async def recorded(message: Message) -> None:
            if not self._exchange.has_begun or self._has_ended:
                await send(message)
                return
            held.append(message)
            if message["type"] == "http.response.start" or message.get("more_body", False):
                return
            await self._end()
            for one in held:
                await send(one)
            held.clear()

        return recorded

    def entry_of_success(self) -> Entry:
        found = entry(self._scope, self._exchange)
        return replace(found, status=200, code=None, bytes=self._exchange.received or None)

    def finish(self, *, merged: bool) -> bool:
        """Whether the request has its row in the trail. One that was refused, and is merged, has none of its own.

        Of one whose row still waits in the trail, which a kill would end, it stays recorded that it has begun.
        """
        if self.recording is not None:
            return self.recording.is_written
        if self._exchange.has_begun and merged and not self._has_row:
            self._changes.cancel(self._exchange.request_id)
        return self._has_row and not merged

    async def _end(self) -> None:
        """Where the database does not answer, the row waits in the trail: that the change has begun is recorded."""
        self._has_ended = True
        if merge_of(self._exchange) is not None:
            return
        self._has_row = True
        try:
            await self._changes.end(entry(self._scope, self._exchange))
        except errors.Unavailable:
            self._has_row = False


#: Recorded where the client disconnected before there was a response; never sent.
CLIENT_GONE = 499
NOSNIFF = (b"x-content-type-options", b"nosniff")
_MAX_AGENT = 200  # characters of a user agent


def _receiving(exchange: Exchange, receive: Receive) -> Receive:
    """``receive``, counting the bytes of the body."""

    async def counted() -> Message:
        message = await receive()
        exchange.received += len(message.get("body", b""))
        return message

    return counted


def _sending(exchange: Exchange, send: Send) -> Send:
    """``send``, which adds the request id, and notes the status, the bytes and what the route reads in its answer."""
    request_id = (b"x-request-id", exchange.request_id.encode())
    reads_answer = bool(exchange.route and exchange.route.answers)

    async def tagged(message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
            if exchange.status >= 400:
                exchange.code = _code(message)
            message = {**message, "headers": [*message.get("headers", ()), request_id, NOSNIFF]}
        elif message["type"] == ZERO_COPY_SEND:
            exchange.sent += message["count"]
        else:
            body = message.get("body", b"")
            exchange.sent += len(body)
            if reads_answer and exchange.status < 400:
                _keep(exchange, body)
        await send(message)

    return tagged


def _log(scope: Scope, exchange: Exchange) -> None:
    """Without the path, which a client can write anything into: the route is what was asked for."""
    route, principal = exchange.route, exchange.principal
    path = route.path if route else "unlisted"
    facts = {
        "request_id": exchange.request_id,
        "method": route.method if route else escaped(scope["method"], 16),
        "route": path,
        "status": exchange.status,
        "code": exchange.code,
        "key_id": principal.key_id if principal else exchange.refused_key_id,
        "workspace": principal.workspace if principal else None,
        "ms": round(exchange.seconds * 1000, 1),
    }
    access.info("%s %s %d", facts["method"], path, exchange.status, extra=facts)


def _code(start: Message) -> str | None:
    """The error code of a response, whichever app rendered it."""
    found = (value for name, value in start.get("headers", ()) if name == errors.CODE_HEADER)
    return next((value.decode("ascii") for value in found), None)


def _keep(exchange: Exchange, body: bytes) -> None:
    if exchange.answer is None:
        exchange.answer = bytearray()
    exchange.answer += body[: MAX_ANSWER - len(exchange.answer)]


def is_refusal(exchange: Exchange) -> bool:
    return exchange.status >= 400 or exchange.status == 0 or exchange.code is not None  # broken off


def merge_of(exchange: Exchange) -> Merge | None:
    """With which others a request is recorded; None where it may have changed something.

    A change that ended without an answer, or with a 5xx from behind the gateway, may have been made.
    """
    route = exchange.route
    principal = exchange.principal
    if route and route.changes and exchange.forwarded and not 400 <= exchange.status < CLIENT_GONE:
        return None
    code = exchange.code or exchange.status
    if principal is None:
        return Merge("stranger", (network(exchange.address), code))
    if is_refusal(exchange):
        return Merge("key", (principal.key_id, code))
    path = exchange.match.path if exchange.match else ""
    return Merge("read", (principal.key_id, route.action if route else None, path[:1024]))


def entry(scope: Scope, exchange: Exchange) -> Entry:
    """One record of the trail: who, what, where, and the outcome. It contains no secrets."""
    principal = exchange.principal
    route = exchange.route
    found = about(exchange)
    workspace = principal.workspace if principal else None
    if principal and workspace is None and route and route.changes and exchange.code is None and exchange.status < 400:
        # An operator's change belongs into the trail of the workspace that it is about, also before it is answered.
        workspace = found.details.get("workspace") or (found.name if found.type == "workspace" else None)
        found.details["by"] = "platform"
    if agent := header(scope, b"user-agent"):
        text = agent[: 2 * _MAX_AGENT].decode("latin-1")
        found.details["agent"] = escaped(shown(text, limit=_MAX_AGENT), _MAX_AGENT)
    return Entry(
        at=datetime.now(UTC),
        request_id=exchange.request_id,
        key_id=principal.key_id if principal else exchange.refused_key_id,
        user_id=principal.user_id if principal else None,
        workspace=workspace,
        address=exchange.address[:64],
        method=escaped(scope["method"], 16),
        path=shown(raw_path(scope), limit=1024),
        status=exchange.status,
        code=exchange.code,
        permission=str(route.permission) if route and route.permission else None,
        seconds=round(exchange.seconds, 6),
        action=str(route.action) if route and route.action else None,
        subject_type=found.type,
        subject=found.name,
        within=found.within,
        bytes=_bytes(exchange),
        details=found.details,
    )


def _bytes(exchange: Exchange) -> int | None:
    """Of a file that was sent or received; None for requests about anything else."""
    route = exchange.route
    if route is None or route.to != "artifacts" or is_refusal(exchange):
        return None
    return exchange.received if route.body is Body.STREAM else exchange.sent
