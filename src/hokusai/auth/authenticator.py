"""The contract between the gateway and whoever knows the keys."""

from __future__ import annotations

from typing import Protocol

from hokusai.errors import Denied
from hokusai.identity import Principal


class Authenticator(Protocol):
    """Judges keys. Implementations: ``LocalAuthenticator`` and ``RemoteAuthenticator``.

    ``authenticate`` takes a key as the client sent it and the client's address, and returns the
    principal, or the refusal as a value. It raises ``errors.Unavailable`` when the key could not be
    judged: an outage is never a refusal.

    A revoked key is refused at once by the process that revoked it, and within 2 seconds elsewhere.
    """

    async def authenticate(self, key: str, address: str) -> Principal | Denied: ...

    def count(self, principal: Principal, *, refused: bool) -> None:
        """Note one request for the usage statistics. Never waits and never raises."""

    async def check(self) -> None:
        """Raises ``errors.Unavailable`` unless keys can be judged now."""

    async def start(self) -> None:
        """Begin background work (flushing usage). Called once, inside the event loop."""

    async def close(self) -> None:
        """Flush and stop. Nothing counted before is lost."""
