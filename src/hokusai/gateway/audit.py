"""The outermost layer: request ids, the one shape of errors, metrics, and the audit trail."""

from __future__ import annotations

import logging
import secrets
from datetime import UTC, datetime
from typing import Any

from cachetools import TTLCache
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hokusai import errors
from hokusai.audit import AuditTrail
from hokusai.gateway.address import AddressOf
from hokusai.gateway.exchange import EXCHANGE, Exchange, raw_path
from hokusai.gateway.limit import network
from hokusai.gateway.metrics import Metrics
from hokusai.gateway.redaction import shown
from hokusai.gateway.route import RouteTable
from hokusai.identity import ADDRESS, REQUEST_ID

log = logging.getLogger("hokusai.gateway")

#: Refusals that one address can cause in any number, before a key is looked up.
FLOODS = frozenset({errors.AddressRateExceeded.code, errors.GuessRateExceeded.code})


class Audit:
    """Gives each request an id and an ``Exchange``, renders errors, counts requests, and records them in the trail."""

    def __init__(
        self, app: ASGIApp, *, table: RouteTable, trail: AuditTrail, metrics: Metrics, address_of: AddressOf
    ) -> None:
        self.app = app
        self.table = table
        self.trail = trail
        self.metrics = metrics
        self.address_of = address_of
        self._floods: TTLCache[tuple[str | None, str], None] = TTLCache(10_000, 60)

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
        request_id = (b"x-request-id", exchange.request_id.encode())

        async def tagged(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                if exchange.status >= 400:
                    exchange.code = _code(message)
                message = {**message, "headers": [*message.get("headers", ()), request_id, NOSNIFF]}
            await send(message)

        try:
            await self.app(scope, receive, tagged)
        except errors.HokusaiError as error:
            await self._refuse(error, exchange, scope, tagged)
        except ClientDisconnect:
            exchange.status = exchange.status or CLIENT_GONE
        except Exception as error:
            log.exception("request %s failed", exchange.request_id)
            await self._refuse(errors.Internal(), exchange, scope, tagged, cause=error)
        finally:
            self._finish(scope, exchange)

    async def _refuse(
        self,
        error: errors.HokusaiError,
        exchange: Exchange,
        scope: Scope,
        send: Send,
        cause: Exception | None = None,
    ) -> None:
        if exchange.status:  # the response has begun: it can only be cut short
            exchange.code = error.code
            raise cause or error
        body = error.body(exchange.request_id)
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": error.status, "headers": [*error.headers(), length]})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _finish(self, scope: Scope, exchange: Exchange) -> None:
        route = exchange.match.route if exchange.match else None
        self.metrics.count(route, exchange.status, exchange.seconds)
        refused = exchange.status >= 400 or exchange.status == 0 or exchange.code is not None  # broken off
        if (refused or (route and route.changes)) and not self._is_flood(exchange):
            self.trail.note(entry(scope, exchange))

    def _is_flood(self, exchange: Exchange) -> bool:
        """Whether this address was refused so within the last minute: then it is counted, and not recorded again."""
        if exchange.code not in FLOODS:
            return False
        place = (exchange.code, network(exchange.address))
        known = place in self._floods
        if not known:
            self._floods[place] = None
        return known


#: Recorded where the client disconnected before there was a response; never sent.
CLIENT_GONE = 499
NOSNIFF = (b"x-content-type-options", b"nosniff")


def _code(start: Message) -> str | None:
    """The error code of a response, whichever app rendered it."""
    found = (value for name, value in start.get("headers", ()) if name == errors.CODE_HEADER)
    return next((value.decode("ascii") for value in found), None)


def entry(scope: Scope, exchange: Exchange) -> dict[str, Any]:
    """One record of the trail: who, what, where, and the outcome. It contains no secrets."""
    principal = exchange.principal
    route = exchange.match.route if exchange.match else None
    return {
        "at": datetime.now(UTC),
        "request_id": exchange.request_id,
        "key_id": principal.key_id if principal else None,
        "user_id": principal.user_id if principal else None,
        "workspace": principal.workspace if principal else None,
        "address": exchange.address[:64],
        "method": scope["method"][:16],
        "path": shown(raw_path(scope), limit=1024),
        "status": exchange.status,
        "code": exchange.code,
        "permission": str(route.permission) if route and route.permission else None,
        "seconds": round(exchange.seconds, 6),
    }
