"""Results of key look-ups, cached for a moment, with one look-up at a time for each key (single flight)."""

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
    """A value, and the time (``time.monotonic``) from which it may no longer be used."""

    value: V
    until: float


@dataclass(frozen=True, slots=True, eq=False)
class _LookUp(Generic[V]):
    """A look-up in progress. Its result is as old as its start."""

    task: asyncio.Task[V]
    until: float


class Cache(Generic[V]):
    """Caches the results of look-ups for ``seconds``, counted from the start of each look-up.

    Known and unknown keys are cached apart, ``size`` entries each, and the least recently used entry is dropped
    first: a client that invents keys cannot push out good ones. Concurrent misses of one key share one look-up.
    Nothing is served after its time, even when the source is down. Cache keys must not be secrets: use digests, never
    API keys.

    ``fetch`` raises what the look-up raised, ``slow()`` when it takes longer than ``wait`` seconds, and ``errors.Busy``
    when ``max_look_ups`` look-ups are in progress.
    """

    def __init__(
        self,
        *,
        seconds: float,
        wait: float,
        is_known: Callable[[V], bool],
        slow: Callable[[], errors.HokusaiError],
        size: int = 10_000,
        max_look_ups: int = 1_000,
    ) -> None:
        self._seconds = seconds
        self._wait = wait
        self._is_known = is_known
        self._slow = slow
        self._known: LRUCache[Hashable, Entry[V]] = LRUCache(size)
        self._unknown: LRUCache[Hashable, Entry[V]] = LRUCache(size)
        self._look_ups: dict[Hashable, _LookUp[V]] = {}
        self._tasks: set[asyncio.Task[V]] = set()
        self._max_look_ups = max_look_ups

    def get(self, key: Hashable) -> Entry[V] | None:
        """The cached entry. Does not wait."""
        entry = self._known.get(key) or self._unknown.get(key)
        return entry if entry is not None and entry.until > time.monotonic() else None

    async def fetch(self, key: Hashable, look_up: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """Look up what ``get`` does not have. The look-up continues when the caller is cancelled."""
        current = self._look_ups.get(key)
        if current is None or current.until <= time.monotonic():
            current = self._start(key, look_up)
        done, _ = await asyncio.wait({current.task}, timeout=self._wait)
        if not done:
            raise self._slow()
        return current.task.result()

    def drop(self, key: Hashable) -> None:
        """Drop one key. The result of a look-up of it that is in progress will not be cached."""
        for store in (self._known, self._unknown, self._look_ups):
            store.pop(key, None)

    def clear(self) -> None:
        for store in (self._known, self._unknown, self._look_ups):
            store.clear()

    async def close(self) -> None:
        """Cancel the look-ups in progress, and wait for them up to ``wait`` seconds."""
        self.clear()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._wait)

    def _start(self, key: Hashable, look_up: Callable[[], Coroutine[Any, Any, V]]) -> _LookUp[V]:
        if len(self._tasks) >= self._max_look_ups:
            raise errors.Busy(layer="auth")
        started = _LookUp(asyncio.create_task(look_up(), name="key-look-up"), time.monotonic() + self._seconds)
        self._look_ups[key] = started
        self._tasks.add(started.task)
        started.task.add_done_callback(lambda _: self._finish(key, started))
        return started

    def _finish(self, key: Hashable, look_up: _LookUp[V]) -> None:
        self._tasks.discard(look_up.task)
        is_current = self._look_ups.get(key) is look_up
        if is_current:
            del self._look_ups[key]
        if look_up.task.cancelled() or look_up.task.exception() is not None or not is_current:
            return
        value = look_up.task.result()
        kept, other = (self._known, self._unknown) if self._is_known(value) else (self._unknown, self._known)
        kept[key] = Entry(value, look_up.until)
        other.pop(key, None)
