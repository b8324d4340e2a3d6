"""Keys checked by a separate auth service."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from functools import partial
from typing import Any

import httpx2
from pydantic import ValidationError

from hokusai import errors
from hokusai.auth.cache import Cache
from hokusai.auth.contract import SELF, USAGE, VALIDATE, Refusal, Validated
from hokusai.auth.key_check import expired, is_address
from hokusai.auth.keys import Key, digest, now, parse
from hokusai.auth.usage import Usage, UsageCounter
from hokusai.identity import Permission, Principal
from hokusai.trace_context import carried
from hokusai.web_url import NOT_A_WEB_URL, WebUrl

log = logging.getLogger("hokusai.auth")

_MAX_ANSWER_BYTES = 2**16
_LIMITS = httpx2.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=3)
#: Errors of a kept connection that the other side has just closed.
_STALE = (httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError)

Exchange = Callable[[], Awaitable[tuple[int, dict[str, Any]]]]


class RemoteAuthenticator:
    """An ``Authenticator`` that asks the auth service at ``url``, with ``service_key`` as its own key.

    Answers are cached for ``cache_seconds``, by key and address, because the service checked both. Expiry and
    environment are checked here at every call. ``errors.AuthServiceDown`` means that there was no answer within
    ``timeout`` seconds; ``errors.AuthServiceContract`` means that the answer did not keep the contract, or that the
    service refused our own key.
    """

    def __init__(
        self,
        url: str,
        *,
        service_key: str,
        service_id: str = "platform",
        environments: Set[str] = frozenset({"live", "test"}),
        cache_seconds: float = 1.5,
        timeout: float = 5,
        flush_seconds: float = 15,
    ) -> None:
        self._url = _checked(url)
        self._service_id = service_id
        self._environments = environments
        self._timeout = timeout
        self._secret = secrets.token_bytes(32)  # for digests that never leave this process
        self._own = {"X-API-Key": _own_key(service_key), "Accept": "application/json"}
        self._http = httpx2.AsyncClient(
            timeout=timeout,
            limits=_LIMITS,
            verify=httpx2.create_ssl_context(),  # honours SSL_CERT_FILE
            trust_env=False,  # no proxy: keys are sent here
        )
        self._usage = UsageCounter(self._report, seconds=flush_seconds, batch=1)
        self._cache: Cache[Principal | Refusal] = Cache(
            seconds=cache_seconds, wait=timeout + 1, is_known=_is_known, slow=errors.AuthServiceDown
        )

    async def authenticate(self, key: str, address: str) -> Principal | errors.Denied:
        parsed = parse(key)
        if isinstance(parsed, errors.KeyMalformed):
            return parsed
        place = (digest(parsed, self._secret), address)
        entry = self._cache.get(place)
        answer = entry.value if entry else await self._cache.fetch(place, partial(self._validate, parsed, address))
        return answer.error() if isinstance(answer, Refusal) else self._check(answer)

    def count(self, principal: Principal, *, refused: bool) -> None:
        self._usage.count(principal.key_id, refused=refused)

    async def check(self) -> None:
        """Asks about our own key: the answer needs the service, its database and that key to work."""
        status, document = await self._ask("GET", SELF)
        if status != 200 or Permission.KEYS_VALIDATE not in (document.get("permissions") or ()):
            raise errors.AuthServiceContract

    async def start(self) -> None:
        await self._usage.start()

    async def close(self) -> None:
        await self._usage.close()
        await self._cache.close()
        await self._http.aclose()

    def _check(self, principal: Principal) -> Principal | errors.Denied:
        if principal.expires_at is not None and principal.expires_at <= now():
            return _of(principal, expired(principal.expires_at))
        if principal.environment not in self._environments:
            accepted = ", ".join(sorted(self._environments))
            return _of(principal, errors.EnvironmentMismatch(environment=principal.environment, accepted=accepted))
        return principal

    async def _validate(self, key: Key, address: str) -> Principal | Refusal:
        body = {"service_id": self._service_id} | ({"client_ip": address} if is_address(address) else {})
        status, document = await self._ask("POST", VALIDATE, candidate=key, body=body)
        if status == 200:
            return self._validated(document)
        refusal = Refusal.read(document) if status in {401, 403} else None
        if refusal is None:
            log.error(
                "the auth service answered %d: check HOKUSAI_AUTH_SERVICE_KEY, this server's own key there", status
            )
            raise errors.AuthServiceContract
        return refusal

    def _validated(self, document: Mapping[str, Any]) -> Principal:
        try:
            validated = Validated.model_validate(document)
        except ValidationError:
            raise errors.AuthServiceContract from None
        if validated.service_id != self._service_id:
            raise errors.AuthServiceContract
        return validated.principal()

    async def _report(self, counted: Sequence[Usage]) -> None:
        for one in counted:
            body = {"hour": one.hour.isoformat(), "requests": one.requests, "refused": one.refused}
            # Sent once: a second attempt could count twice.
            status, document = await self._ask("POST", USAGE.format(key_id=one.key_id), body=body, attempts=1)
            if status == 404 and _code(document) == errors.KeyIdUnknown.code:
                log.warning("usage of the key %s is dropped: the auth service does not know that key", one.key_id)
            elif status != 200:
                raise errors.AuthServiceContract

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        candidate: Key | None = None,
        body: Mapping[str, Any] | None = None,
        attempts: int = 2,
    ) -> tuple[int, dict[str, Any]]:
        headers = self._own | carried() | ({"Authorization": f"Bearer {candidate.text}"} if candidate else {})
        try:
            async with asyncio.timeout(self._timeout):
                return await self._attempt(attempts, partial(self._exchange, method, self._url + path, headers, body))
        except (httpx2.TransportError, TimeoutError) as error:
            log.error("the auth service at HOKUSAI_AUTH_URL does not answer: %s", str(error) or type(error).__name__)
            raise errors.AuthServiceDown from None
        except httpx2.HTTPError as error:
            log.error("the answer of the auth service at HOKUSAI_AUTH_URL cannot be read: %s", error)
            raise errors.AuthServiceContract from None

    async def _attempt(self, attempts: int, exchange: Exchange) -> tuple[int, dict[str, Any]]:
        for _ in range(attempts - 1):
            with contextlib.suppress(*_STALE):
                return await exchange()
        return await exchange()

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> tuple[int, dict[str, Any]]:
        async with self._http.stream(method, url, headers=headers, json=body) as response:
            if response.status_code >= 500 or response.status_code == 429:
                raise errors.AuthServiceDown
            raw = bytearray()
            async for chunk in response.aiter_bytes():
                raw += chunk
                if len(raw) > _MAX_ANSWER_BYTES:
                    raise errors.AuthServiceContract
        try:
            document = json.loads(raw)
        except (ValueError, RecursionError):
            raise errors.AuthServiceContract from None
        if not isinstance(document, dict):
            raise errors.AuthServiceContract
        return response.status_code, document


def _of(principal: Principal, refusal: errors.Denied) -> errors.Denied:
    refusal.key_id = principal.key_id
    return refusal


def _is_known(answer: Principal | Refusal) -> bool:
    return isinstance(answer, Principal) or answer.row is not errors.KeyUnknown


def _code(document: Mapping[str, Any]) -> object:
    ours = document.get("hokusai")
    return ours.get("code") if isinstance(ours, dict) else None


def _checked(url: str) -> str:
    if WebUrl.parse(url) is None:
        raise errors.SettingInvalid(setting="HOKUSAI_AUTH_URL", reason=NOT_A_WEB_URL)
    return url.rstrip("/")


def _own_key(text: str) -> str:
    parsed = parse(text)
    if isinstance(parsed, errors.KeyMalformed):
        raise errors.SettingInvalid(setting="HOKUSAI_AUTH_SERVICE_KEY", reason=parsed.reason)
    return parsed.text
