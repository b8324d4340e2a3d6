"""Windows of rates: a test that counts hits must not be cut in two by the end of one.

Windows begin at multiples of their length since 1970, at the server as well. A day has one end, an hour 24.
"""

from __future__ import annotations

import time

HOUR, DAY = 3600, 86400

#: Many times what counting takes, on a busy machine too.
_NEEDED = 60


def enough_left(window: int, needed: float = _NEEDED) -> None:
    """Wait until the running window has ``needed`` seconds left, all in seconds."""
    left = window - time.time() % window
    if left < needed:
        time.sleep(left)
