"""The contract between the gateway and the part that knows the keys."""

from __future__ import annotations

from typing import Protocol

from hokusai.errors import Denied
from hokusai.identity import Principal


class Authenticator(Protocol):
    """Decides whether a key is good. Implementations: ``LocalAuthenticator`` and ``RemoteAuthenticator``.

    ``authenticate`` takes a key as the client sent it and the client's address, and returns the principal, or the
    refusal (an ``errors.Unauthorized`` or ``errors.Forbidden``) as a value. It raises ``errors.Unavailable`` when it
    could not find out whether the key is good: an outage is never a refusal.

    A revoked key is refused at once by the process that revoked it, and within 2 seconds by all others.
    """

    async def authenticate(self, key: str, address: str) -> Principal | Denied: ...

    def count(self, principal: Principal, *, refused: bool) -> None:
        """Count one request for the usage statistics. Never waits and never raises."""

    async def check(self) -> None:
        """Raises ``errors.Unavailable`` unless ``authenticate`` works now."""

    async def start(self) -> None:
        """Start background work (storing usage). Called once, inside the event loop."""

    async def close(self) -> None:
        """Store what was counted, and stop."""
