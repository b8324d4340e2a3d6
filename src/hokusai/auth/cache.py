"""What was learned about keys, remembered for a moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from cachetools import LRUCache

from hokusai import errors

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Entry(Generic[V]):
    """A value, and when (``time.monotonic``) it may no longer be used."""

    value: V
    until: float


@dataclass(frozen=True, slots=True, eq=False)
class _Flight(Generic[V]):
    """A look-up under way. Its result is as old as its start."""

    task: asyncio.Task[V]
    until: float


class Cache(Generic[V]):
    """Remembers the results of look-ups for ``seconds``, counted from the start of the look-up.

    Known and unknown keys are kept apart, ``size`` entries each, the least recently used ones going
    first: whoever makes up keys cannot push out good ones. Concurrent misses of one key share one
    look-up. Nothing is served past its time, whatever has become of the source. Keys must not be
    secrets: digests, never API keys.

    ``fetch`` raises what the look-up raised, ``slow()`` when it takes longer than ``wait`` seconds,
    and ``errors.Busy`` when ``flights`` look-ups are under way.
    """

    def __init__(
        self,
        *,
        seconds: float,
        wait: float,
        is_known: Callable[[V], bool],
        slow: Callable[[], errors.HokusaiError],
        size: int = 10_000,
        flights: int = 1_000,
    ) -> None:
        self._seconds = seconds
        self._wait = wait
        self._is_known = is_known
        self._slow = slow
        self._known: LRUCache[Hashable, Entry[V]] = LRUCache(size)
        self._unknown: LRUCache[Hashable, Entry[V]] = LRUCache(size)
        self._flights: dict[Hashable, _Flight[V]] = {}
        self._tasks: set[asyncio.Task[V]] = set()
        self._most = flights

    def get(self, key: Hashable) -> Entry[V] | None:
        """What is remembered. Does not wait."""
        entry = self._known.get(key) or self._unknown.get(key)
        return entry if entry is not None and entry.until > time.monotonic() else None

    async def fetch(self, key: Hashable, look_up: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """Look up what ``get`` does not have. The look-up goes on when the caller is cancelled."""
        flight = self._flights.get(key)
        if flight is None or flight.until <= time.monotonic():
            flight = self._depart(key, look_up)
        done, _ = await asyncio.wait({flight.task}, timeout=self._wait)
        if not done:
            raise self._slow()
        return flight.task.result()

    def drop(self, key: Hashable) -> None:
        """Forget one key; a look-up of it under way is remembered no more."""
        for store in (self._known, self._unknown, self._flights):
            store.pop(key, None)

    def clear(self) -> None:
        for store in (self._known, self._unknown, self._flights):
            store.clear()

    async def close(self) -> None:
        """End the look-ups under way, and wait for them up to ``wait`` seconds."""
        self.clear()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._wait)

    def _depart(self, key: Hashable, look_up: Callable[[], Coroutine[Any, Any, V]]) -> _Flight[V]:
        if len(self._tasks) >= self._most:
            raise errors.Busy(layer="auth")
        flight = _Flight(asyncio.create_task(look_up(), name="key-look-up"), time.monotonic() + self._seconds)
        self._flights[key] = flight
        self._tasks.add(flight.task)
        flight.task.add_done_callback(lambda _: self._land(key, flight))
        return flight

    def _land(self, key: Hashable, flight: _Flight[V]) -> None:
        self._tasks.discard(flight.task)
        current = self._flights.get(key) is flight
        if current:
            del self._flights[key]
        if flight.task.cancelled() or flight.task.exception() is not None or not current:
            return
        value = flight.task.result()
        kept, other = (self._known, self._unknown) if self._is_known(value) else (self._unknown, self._known)
        kept[key] = Entry(value, flight.until)
        other.pop(key, None)
