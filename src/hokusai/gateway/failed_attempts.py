"""Whoever tries keys is slowed down, before any key is looked up."""

from __future__ import annotations

import secrets
from hashlib import blake2b

from cachetools import TTLCache
from limits import parse

from hokusai import errors
from hokusai.gateway.limit import exceeded, network
from hokusai.gateway.rates import Rates

_REMEMBERED = 10_000
_SECONDS = 600


class FailedAttempts:
    """Counts refused keys for each address, and for each key that is known, against ``rate``.

    Past it, an address gets no more keys looked up, neither here nor at a separate auth service. A key
    that worked from that address in the last ten minutes is still looked up, so that others behind the
    same address can continue. A known key is never shut out by others' use of it: only its refusals become 429.
    """

    def __init__(self, *, rates: Rates, rate: str) -> None:
        self._rates = rates
        self._rate = parse(rate)
        self._secret = secrets.token_bytes(32)  # for digests that never leave this process
        self._good: TTLCache[bytes, None] = TTLCache(_REMEMBERED, _SECONDS)

    def knows(self, key: str, address: str) -> bool:
        """Whether the key was good from there in the last ten minutes. Its use prolongs them."""
        place = self._place(key, address)
        known = place in self._good
        if known:
            self._good[place] = None
        return known

    async def admit(self, address: str) -> errors.HokusaiError | None:
        """The refusal of a key that is not known, where this address has tried too many. Counts nothing."""
        wait = await self._rates.full(self._rate, "guess", network(address))
        return None if wait is None else exceeded(errors.GuessRateExceeded, self._rate, wait)

    async def failed(self, key: str, address: str, refusal: errors.Denied) -> errors.HokusaiError:
        """Count a refused key. Returns the refusal, or the one for too many where the rate is used up."""
        self._good.pop(self._place(key, address), None)
        waits = [await self._rates.hit(self._rate, "guess", network(address))]
        if refusal.key_id:
            waits.append(await self._rates.hit(self._rate, "guess-key", refusal.key_id))
        wait = max((wait for wait in waits if wait is not None), default=None)
        return refusal if wait is None else exceeded(errors.GuessRateExceeded, self._rate, wait)

    def succeeded(self, key: str, address: str) -> None:
        self._good[self._place(key, address)] = None

    def _place(self, key: str, address: str) -> bytes:
        return blake2b(f"{address} {key}".encode(), key=self._secret, digest_size=16).digest()
