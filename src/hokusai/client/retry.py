"""Doing again what failed and may be done twice, a bounded number of times."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from hokusai import errors

T = TypeVar("T")

#: In all, the first included.
ATTEMPTS = 4
#: Seconds before the second attempt; doubled each time.
FIRST_PAUSE = 0.2
#: Seconds. A server that asks for more patience gets none: the caller is told instead.
LONGEST_PAUSE = 15.0
#: The statuses that say "not now" (RFC 9110, RFC 6585).
PASSING = frozenset({429, 502, 503, 504})


def retried(attempt: Callable[[], T], *, progress: Callable[[], int] = lambda: 0) -> T:
    """What ``attempt`` returns; tried again after no answer, 429, 502, 503 and 504.

    ``Retry-After`` is honoured up to ``LONGEST_PAUSE``. Attempts are counted anew from one that came
    further, by ``progress``, than all before. Raises what the last attempt raised.
    """
    count, furthest = 1, progress()
    while True:
        try:
            return attempt()
        except errors.HokusaiError as error:
            if progress() > furthest:
                count, furthest = 1, progress()
            pause = _pause(error, count) if count < ATTEMPTS else None
            if pause is None:
                raise
        time.sleep(pause)
        count += 1


def _pause(error: errors.HokusaiError, count: int) -> float | None:
    if not _passes(error):
        return None
    spread = FIRST_PAUSE * 2 ** (count - 1) * random.uniform(0.75, 1.25)  # noqa: S311 - not a secret
    pause = max(spread, float(error.retry_after or 0))
    return pause if pause <= LONGEST_PAUSE else None


def _passes(error: errors.HokusaiError) -> bool:
    return isinstance(error, errors.ServerUnreachable) or error.status in PASSING
