"""Retrying requests that may safely be sent twice, a limited number of times."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from hokusai import errors

T = TypeVar("T")

#: Including the first.
MAX_ATTEMPTS = 4
#: Seconds before the second attempt. Doubled for each further one.
FIRST_PAUSE = 0.2
#: Seconds. Where a server asks for a longer pause, the caller gets its error instead.
MAX_PAUSE = 15.0
#: The statuses of temporary failures (RFC 9110, RFC 6585).
TEMPORARY = frozenset({429, 502, 503, 504})


def retried(attempt: Callable[[], T], *, progress: Callable[[], int] = lambda: 0) -> T:
    """What ``attempt`` returns. It is retried after no answer, 429, 502, 503 and 504.

    ``Retry-After`` is honoured up to ``MAX_PAUSE``. The count starts again after an attempt that made more progress
    than all before. Raises what the last attempt raised.
    """
    count, furthest = 1, progress()
    while True:
        try:
            return attempt()
        except errors.HokusaiError as error:
            if progress() > furthest:
                count, furthest = 1, progress()
            pause = _pause(error, count) if count < MAX_ATTEMPTS else None
            if pause is None:
                raise
        time.sleep(pause)
        count += 1


def _pause(error: errors.HokusaiError, count: int) -> float | None:
    if not _is_temporary(error):
        return None
    spread = FIRST_PAUSE * 2 ** (count - 1) * random.uniform(0.75, 1.25)  # noqa: S311 - not a secret
    pause = max(spread, float(error.retry_after or 0))
    return pause if pause <= MAX_PAUSE else None


def _is_temporary(error: errors.HokusaiError) -> bool:
    return isinstance(error, errors.ServerUnreachable) or error.status in TEMPORARY
