"""Keys checked against our own store."""

from __future__ import annotations

from collections.abc import Set
from functools import partial

from hokusai import errors
from hokusai.auth.cache import Cache
from hokusai.auth.key_check import FoundKey, check_key
from hokusai.auth.keys import parse
from hokusai.auth.store import KeyStore
from hokusai.auth.usage import UsageCounter
from hokusai.database import WAIT_SECONDS
from hokusai.identity import Principal

#: For another server, which checks the environment itself.
_ANY_ENVIRONMENT = frozenset({"live", "test"})


class LocalAuthenticator:
    """An ``Authenticator`` over a ``KeyStore``.

    The store's answers are cached for ``cache_seconds``, and dropped at once when this process changes a key. What
    depends on the time or the caller is checked at every call: expiry, address, service and environment.
    """

    def __init__(
        self,
        store: KeyStore,
        *,
        service_id: str = "platform",
        environments: Set[str] = _ANY_ENVIRONMENT,
        cache_seconds: float = 1.5,
        flush_seconds: float = 5,
        wait: float = WAIT_SECONDS + 1,
    ) -> None:
        self._store = store
        self._service_id = service_id
        self._environments = environments
        self._usage = UsageCounter(store.usage.add, seconds=flush_seconds)
        self._cache: Cache[FoundKey | None] = Cache(
            seconds=cache_seconds, wait=wait, is_known=lambda found: found is not None, slow=errors.DatabaseDown
        )
        store.watch(self._drop)

    async def authenticate(self, key: str, address: str) -> Principal | errors.Denied:
        parsed = parse(key)
        if isinstance(parsed, errors.KeyMalformed):
            return parsed
        digest = self._store.digest(parsed)
        entry = self._cache.get(digest)
        found = entry.value if entry else await self._cache.fetch(digest, partial(self._store.find, digest))
        return check_key(found, service_id=self._service_id, environments=self._environments, address=address)

    async def validate(self, key: str, *, service_id: str, address: str | None) -> Principal | errors.Denied:
        """Check a key for another server, which caches the answer; so it is not cached here."""
        parsed = parse(key)
        if isinstance(parsed, errors.KeyMalformed):
            return parsed
        found = await self._store.find(self._store.digest(parsed))
        return check_key(found, service_id=service_id, environments=_ANY_ENVIRONMENT, address=address)

    def count(self, principal: Principal, *, refused: bool) -> None:
        self._usage.count(principal.key_id, refused=refused)

    async def check(self) -> None:
        await self._store.check()

    async def start(self) -> None:
        await self._usage.start()

    async def close(self) -> None:
        await self._usage.close()
        await self._cache.close()

    def _drop(self, digest: bytes | None) -> None:
        if digest is None:
            self._cache.clear()
        else:
            self._cache.drop(digest)
