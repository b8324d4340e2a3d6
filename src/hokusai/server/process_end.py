"""The end of this process, at a set time, whatever its event loop and its threads do."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from contextlib import suppress

log = logging.getLogger("hokusai")


class ProcessEnd:
    """Ends this process when its time is up, unless it has ended before.

    Python waits for every thread before it exits, and a call into a database or a library can last for minutes. The
    clock of this class runs on a thread of its own. ``within`` sets the time, or brings it forward. The exit code is 0
    once ``all_is_kept`` was called: everything that was accepted has been written, and only waiting is cut short.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._at: float | None = None
        self._cancelled = False
        self._code = 1

    def within(self, seconds: float) -> None:
        with self._changed:
            at = time.monotonic() + seconds
            if self._at is None:
                self._at = at
                threading.Thread(target=self._wait, name="process-end", daemon=True).start()
            self._at = min(self._at, at)
            self._changed.notify()

    def all_is_kept(self) -> None:
        self._code = 0

    def cancel(self) -> None:
        """It has ended by itself."""
        with self._changed:
            self._cancelled = True
            self._changed.notify()

    def _wait(self) -> None:
        with self._changed:
            while not self._cancelled and self._at is not None and (left := self._at - time.monotonic()) > 0:
                self._changed.wait(left)
            if self._cancelled:
                return
        waiting = sorted({thread.name.rpartition("_")[0] or thread.name for thread in threading.enumerate()})
        log.warning("the time to stop is over: the process ends now, with threads at work: %s", ", ".join(waiting))
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(self._code)
