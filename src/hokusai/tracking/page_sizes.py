"""How many results a page of a search may have: where one was too large, smaller ones are asked for, for a while."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator

_SIZES = (1000, 100, 10, 1)
_REMEMBERED_SECONDS = 60
_REMEMBERED = 10_000


class PageSizes:
    """What to ask MLflow for. A failure is remembered for a minute, for a workspace and a route."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._fit: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def of(self, workspace: str, route: str, wanted: int) -> Iterator[int]:
        """The sizes to try, the largest first."""
        most, until = self._fit.get((workspace, route), (wanted, 0.0))
        if self._clock() >= until:
            most = wanted
        yield (first := min(wanted, most))
        for size in _SIZES:
            if size < first:
                self._remember((workspace, route), size)
                yield size

    def _remember(self, search: tuple[str, str], size: int) -> None:
        self._fit[search] = size, self._clock() + _REMEMBERED_SECONDS
        self._fit.move_to_end(search)
        while len(self._fit) > _REMEMBERED:
            self._fit.popitem(last=False)
