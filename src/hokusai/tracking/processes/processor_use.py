"""How much of the processors each workspace uses: one that uses more than the others comes after them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

#: Seconds after which what was used counts half.
_HALF_LIFE = 10.0
#: Processor seconds below which a workspace is never too much, nor counted as one that uses any.
_LEAST, _ACTIVE = 1.0, 0.02
#: How far above the average of all a workspace must be.
_ABOVE = 1.25


class ProcessorUse:
    """Processor seconds of each workspace in the last moments. ``clock`` is in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._used: dict[str, float] = {}
        self._at = clock()

    def add(self, workspace: str, seconds: float) -> None:
        self._decay()
        self._used[workspace] = self._used.get(workspace, 0.0) + seconds

    def is_above_average(self, workspace: str) -> bool:
        """Whether this workspace uses much, and more than those that use any do on average."""
        used = self._used.get(workspace, 0.0)
        if used < _LEAST:
            return False
        self._decay()
        return self._used.get(workspace, 0.0) > _ABOVE * sum(self._used.values()) / len(self._used)

    def _decay(self) -> None:
        now = self._clock()
        factor = math.exp2((self._at - now) / _HALF_LIFE)
        self._at = now
        self._used = {name: left for name, used in self._used.items() if (left := used * factor) > _ACTIVE}
