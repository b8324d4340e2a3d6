"""Entries that may come in floods: at most two rows a minute for each place that they come from.

The first one of a minute is written at once, so that it is seen within a second. Those that follow within the minute
are counted, with a few samples, and become one row at its end. A table holds ``size`` places; entries of any further
place share one row for each code, so that neither many addresses nor many files make it grow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

from hokusai.audit.entry import Entry, Merged

#: Requests of which a merged row keeps a sample.
MAX_SAMPLES = 3


@dataclass(slots=True)
class _Window:
    ends: float
    merged: Merged | None = None


class Merging:
    """Which entries are written at once (``add``), and the merged ones whose minute is over (``due``)."""

    def __init__(self, *, size: int, seconds: float = 60, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._seconds = seconds
        self._clock = clock
        self._windows: dict[Hashable, _Window] = {}  # in the order of their ends

    def add(self, place: Hashable, entry: Entry) -> Entry | None:
        """The entry, where it is to be written now; None where it was merged."""
        window = self._windows.get(place)
        if window is None and len(self._windows) >= self._size:
            place = ("further", entry.code, entry.action)
            entry = replace(entry, details={**entry.details, "further": True})
            window = self._windows.get(place)
        if window is None:
            self._windows[place] = _Window(self._clock() + self._seconds)
            return entry
        if window.merged is None:
            window.merged = Merged.of(entry)
        else:
            window.merged.add(entry, max_samples=MAX_SAMPLES)
        return None

    def due(self) -> list[Entry]:
        """The merged entries of the windows that have ended."""
        return self._ended(self._clock())

    def drain(self) -> list[Entry]:
        """All merged entries, at the end."""
        return self._ended(float("inf"))

    def wait(self) -> float | None:
        """Seconds until a window ends; None where there is none."""
        first = next(iter(self._windows.values()), None)
        return None if first is None else max(0.0, first.ends - self._clock())

    def _ended(self, now: float) -> list[Entry]:
        found = []
        while self._windows:
            place, window = next(iter(self._windows.items()))
            if window.ends > now:
                break
            del self._windows[place]
            if window.merged is not None:
                found.append(window.merged.entry())
        return found
