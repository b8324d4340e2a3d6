"""Is everything this server stands on there?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from hokusai import errors

Check = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class State:
    """One part's state: ``ok``, or ``down`` with the error's code and what to do. Not all are ``needed`` to serve."""

    name: str
    error: errors.HokusaiError | None
    seconds: float
    needed: bool = True

    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = {"state": "down" if self.error else "ok", "seconds": round(self.seconds, 4)}
        if self.error:
            found |= {"code": self.error.code, "message": str(self.error), "remedy": self.error.advice}
        return found


class Readiness:
    """Asks each part, all at once, ``timeout`` seconds each. Without those in ``needless`` the server serves as well.

    The answer is kept for ``keep`` seconds and asked for once at a time: the route is public, and
    must not be a way to load the database.
    """

    def __init__(
        self, checks: Mapping[str, Check], *, needless: Set[str] = frozenset(), timeout: float = 3, keep: float = 1
    ) -> None:
        self._checks = dict(checks)
        self._needless = needless
        self._timeout = timeout
        self._keep = keep
        self._asking = asyncio.Lock()
        self._known: list[State] = []
        self._until = 0.0

    async def states(self) -> list[State]:
        async with self._asking:
            if time.monotonic() >= self._until:
                self._known = await asyncio.gather(*(self._ask(name, check) for name, check in self._checks.items()))
                self._until = time.monotonic() + self._keep
            return self._known

    async def _ask(self, name: str, check: Check) -> State:
        started = time.perf_counter()
        error: errors.HokusaiError | None = None
        try:
            await asyncio.wait_for(check(), self._timeout)
        except errors.HokusaiError as found:
            error = found
        except TimeoutError:
            error = _SLOW[name]()
        return State(name, error, time.perf_counter() - started, needed=name not in self._needless)


_SLOW: Mapping[str, type[errors.HokusaiError]] = {
    "database": errors.DatabaseDown,
    "auth": errors.AuthServiceDown,
    "tracking": errors.TrackingDown,
    "artifacts": errors.ArtifactStoreDown,
    "redis": errors.RedisDown,
}
