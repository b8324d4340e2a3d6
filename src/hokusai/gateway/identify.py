"""Finds the key in a request's headers, and the principal whose key it is."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Iterator
from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from hokusai import apikey, errors
from hokusai.gateway.exchange import Exchange, exchange_of, headers, raw_path
from hokusai.gateway.failed_attempts import FailedAttempts
from hokusai.gateway.key_watch import KeyWatch
from hokusai.gateway.redaction import holds_key
from hokusai.identity import LANDING, PRINCIPAL, Permission, Principal


class Authenticator(Protocol):
    """What this layer needs from ``auth``."""

    async def authenticate(self, key: str, address: str) -> Principal | errors.Denied: ...

    def count(self, principal: Principal, *, refused: bool) -> None: ...


#: Seconds. A refused key is answered at a multiple of this after its request arrived.
QUANTUM = 0.025


class Identify:
    """Has the request's key checked, and stores the principal on the exchange and in the scope.

    The key comes in ``Authorization: Bearer``, as the password of ``Authorization: Basic`` (RFC 6750, RFC 7617), or in
    ``X-API-Key``. A key in a URL is refused, and not looked up.

    While the request lasts, its key is judged again and again (``key_watch``): a revoked key ends its requests.

    The time of a refusal does not tell why the key was refused: unknown, revoked, expired and malformed keys are
    answered after the same time.
    """

    def __init__(self, app: ASGIApp, *, authenticator: Authenticator, failed_attempts: FailedAttempts) -> None:
        self.app = app
        self.authenticator = authenticator
        self.failed_attempts = failed_attempts
        self.watch = KeyWatch(authenticator)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_of(scope)
        if key_in_url(scope):
            raise errors.KeyInUrl()
        if exchange.route and exchange.route.public:
            await self.app(scope, receive, send)
            return
        key = exchange.key or key_of(scope)
        judged = await self._judged(key, exchange)
        if isinstance(judged, errors.HokusaiError):
            raise judged
        exchange.principal = scope[PRINCIPAL] = judged
        try:
            with self.watch.request(key, exchange.address) as scope[LANDING]:
                await self.app(scope, receive, send)
        except errors.HokusaiError as error:
            self.authenticator.count(judged, refused=error.status < 500)
            raise
        self.authenticator.count(judged, refused=400 <= exchange.status < 500)

    async def _judged(self, key: str, exchange: Exchange) -> Principal | errors.HokusaiError:
        if not exchange.is_known and (refusal := await self.failed_attempts.admit(exchange.address)):
            return refusal
        judged = await self.authenticator.authenticate(key, exchange.address)
        if isinstance(judged, Principal):
            if not exchange.is_known:
                self.failed_attempts.succeeded(key, exchange.address)
            return judged
        refusal = await self.failed_attempts.failed(key, exchange.address, judged)
        await asyncio.sleep(QUANTUM - exchange.seconds % QUANTUM)
        return refusal


def key_finder(failed_attempts: FailedAttempts) -> Callable[[Scope], bool]:
    """For ``LimitAddress``. A key may be good if it has the form of one, and a public route asks for none."""

    def find(scope: Scope) -> bool:
        exchange = exchange_of(scope)
        try:
            key = key_of(scope)
        except errors.HokusaiError:
            return False
        if isinstance(apikey.parse(key), apikey.Malformed):
            return False
        exchange.key = key
        exchange.is_known = failed_attempts.knows(key, exchange.address)
        return not (exchange.route and exchange.route.public)

    return find


def key_in_url(scope: Scope) -> bool:
    query: bytes = scope["query_string"]
    return holds_key(raw_path(scope) + "?" + query.decode("latin-1"))


def key_of(scope: Scope) -> str:
    """The one key a request carries. Raises an ``errors.Unauthorized`` or ``KeyAmbiguous``.

    A request that asks whether another key is valid has that key in ``Authorization``, and the caller's own in
    ``X-API-Key``.
    """
    match = exchange_of(scope).match
    own = [value.decode("latin-1").strip() for value in headers(scope, b"x-api-key")]
    asks_for_another = match is not None and match.route.permission is Permission.KEYS_VALIDATE
    found = set(own) if asks_for_another else {*own, *_authorized(scope)}
    if not found:
        raise errors.CallerKeyMissing() if asks_for_another else errors.KeyMissing()
    if len(found) > 1:
        raise errors.KeyAmbiguous()
    return found.pop()


def _authorized(scope: Scope) -> Iterator[str]:
    for value in headers(scope, b"authorization"):
        scheme, _, rest = value.decode("latin-1").strip().partition(" ")
        if scheme.lower() == "bearer":
            yield rest.strip()
        elif scheme.lower() == "basic":
            yield _password(rest.strip())
        else:
            raise errors.KeyMalformed(reason="the scheme of Authorization is neither Bearer nor Basic")


def _password(encoded: str) -> str:
    try:
        _, _, password = base64.b64decode(encoded, validate=True).decode("latin-1").partition(":")
    except (binascii.Error, ValueError):
        raise errors.KeyMalformed(reason="the value of Authorization: Basic is not Base64") from None
    return password
