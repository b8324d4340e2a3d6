"""Whether everything that this server depends on works."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from hokusai import errors

Check = Callable[[], Awaitable[None]]
About = Callable[[], Awaitable[Mapping[str, object]]]


@dataclass(frozen=True, slots=True)
class State:
    """The state of one part: ``ok``, or ``down`` with its error. The server needs every ``needed`` part to be ready."""

    name: str
    error: errors.HokusaiError | None
    seconds: float
    needed: bool = True
    about: Mapping[str, object] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = {"state": "down" if self.error else "ok", "seconds": round(self.seconds, 4)}
        found |= self.about
        if self.error:
            found |= {"code": self.error.code, "message": str(self.error), "remedy": self.error.advice}
            if fault := _FAULTS.get(type(self.error)):
                found["fault"] = fault
        return found


class Readiness:
    """Checks all parts at the same time, each for at most ``timeout`` seconds. Those in ``optional`` may be down.

    ``about`` gives more facts about a part, for the answer, and bounds the time that it takes for them itself.

    The result is kept for ``keep`` seconds, and checks never run twice at a time: the route is public, and must not be
    a way to put load on the database.
    """

    def __init__(
        self,
        checks: Mapping[str, Check],
        *,
        optional: Set[str] = frozenset(),
        about: Mapping[str, About] | None = None,
        timeout: float = 3,
        keep: float = 1,
    ) -> None:
        self._about = dict(about or {})
        self._checks = dict(checks)
        self._optional = optional
        self._timeout = timeout
        self._keep = keep
        self._lock = asyncio.Lock()
        self._states: list[State] = []
        self._until = 0.0

    async def states(self) -> list[State]:
        async with self._lock:
            if time.monotonic() >= self._until:
                self._states = await asyncio.gather(*(self._check(name, check) for name, check in self._checks.items()))
                self._until = time.monotonic() + self._keep
            return self._states

    async def _check(self, name: str, check: Check) -> State:
        error: errors.HokusaiError | None = None
        tell = self._about.get(name)
        about = await tell() if tell else {}
        started = time.perf_counter()
        try:
            await asyncio.wait_for(check(), self._timeout)
        except errors.HokusaiError as found:
            error = found
        except TimeoutError:
            error = _SLOW[name]()
        seconds = time.perf_counter() - started
        return State(name, error, seconds, needed=name not in self._optional, about=about)


#: The fault of ``hokusai doctor`` behind an error, where the error leaves no doubt about it.
_FAULTS: Mapping[type[errors.HokusaiError], str] = {
    errors.DatabaseDown: "database-down",
    errors.DatabaseReadOnly: "database-read-only",
    errors.DatabaseFull: "database-read-only",
    errors.DatabaseCredentials: "database-credentials",
    errors.SchemaMissing: "migrations-missing",
    errors.AuthServiceDown: "auth-service-down",
    errors.AuthServiceContract: "auth-contract-mismatch",
    errors.TrackingDown: "tracking-down",
    errors.ArtifactStoreDown: "artifact-store-unreachable",
    errors.ArtifactStoreMissing: "artifact-store-unreachable",
    errors.ArtifactStoreElsewhere: "artifact-store-unreachable",
    errors.ArtifactStoreCredentials: "missing-setting",
    errors.ArtifactStoreDenied: "artifact-store-read-only",
    errors.ArtifactStoreFull: "artifact-disk-full",
    errors.RedisDown: "redis-unavailable",
}

_SLOW: Mapping[str, Callable[[], errors.HokusaiError]] = {
    "database": errors.DatabaseDown,
    "auth": errors.AuthServiceDown,
    "tracking": errors.TrackingDown,
    "artifacts": errors.ArtifactStoreDown,
    "redis": errors.RedisDown,
}
