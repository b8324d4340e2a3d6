"""The comparison of ledger and store (``reconciliation``), now and then while a server runs.

It takes little: after each page it rests for many times as long as the page took. Use that is miscounted and empty
directories are put right, since nothing can be lost by that. What else does not fit is counted, and one line of the
log names the command that shows it.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import BinaryIO

from hokusai import errors
from hokusai.artifacts.reconciliation import Finding, Kind, Reconciliation
from hokusai.artifacts.store import ArtifactStore
from hokusai.database import Database
from hokusai.periodic import PeriodicTask

log = logging.getLogger("hokusai.artifacts")

#: What is put right without being asked.
_HARMLESS = frozenset({Kind.USE, Kind.EMPTY})
#: How long it rests for each second that it has worked, and for how many seconds at most.
_REST, _LONGEST = 19, 120.0
#: Seconds in which a server that has just started settles what it finds.
_SETTLED = 15.0


class BackgroundCheck:
    """Compares every ``hours``, for the first time after ``first`` seconds; 0 hours: never.

    ``lock`` is a file that the workers of a machine share: one of them compares at a time, and the others take its
    word. ``on_findings`` is called with the number of findings that are left, by kind.
    """

    def __init__(
        self,
        store: ArtifactStore,
        database: Database,
        *,
        hours: float,
        first: float,
        lock: Path,
        on_findings: Callable[[Mapping[str, int]], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._database = database
        self._seconds = hours * 3600
        self._lock = lock
        self._on_findings = on_findings
        self._task = PeriodicTask(self._round, name="background-check", seconds=self._seconds, first=first)
        self._started = time.time()

    async def start(self) -> None:
        if self._seconds:
            self._task.start()

    async def close(self) -> None:
        await self._task.close()

    async def compare(self) -> Mapping[str, int]:
        """One comparison; returns what is left of it. Raises ``errors.Unavailable``."""
        pace = _Pace()
        comparison = Reconciliation(self._store, self._database, repair=_HARMLESS, between=pace.rest, moment=_SETTLED)
        left = Counter(dict.fromkeys(map(str, Kind), 0))
        async with aclosing(comparison.findings()) as findings:
            async for finding in findings:
                left[finding.kind.value] += not finding.repaired
                if finding.repaired:
                    log.warning("put right in workspace %s: %s", finding.workspace, _said(finding))
        self._on_findings(left)
        if any(left.values()):
            counts = ", ".join(f"{kind}: {count}" for kind, count in left.items() if count)
            log.error("stored files and their records do not fit (%s): run hokusai fsck, which names them", counts)
        return left

    async def _round(self) -> None:
        try:
            with _alone(self._lock) as last:
                if last is not None and (last < self._started or time.time() - last > self._seconds / 2):
                    await self.compare()
        except errors.HokusaiError as error:
            log.warning("stored files could not be compared with their records now: %s", error)
        except Exception:
            log.exception("stored files could not be compared with their records")


def _said(finding: Finding) -> str:
    return f"{finding.kind.value} {finding.detail or finding.path}".strip()


class _Pace:
    """Rests in proportion to the time since it has rested."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    async def rest(self) -> None:
        await asyncio.sleep(min(_LONGEST, _REST * (time.monotonic() - self._since)))
        self._since = time.monotonic()


@contextmanager
def _alone(path: Path) -> Iterator[float | None]:
    """When somebody has finished under this lock for the last time; None while another process has it."""
    with path.open("a+b") as file:
        if not _is_free(file):
            yield None
            return
        yield path.stat().st_mtime if path.stat().st_size else 0.0
        file.truncate(0)
        file.write(b"\n")


def _is_free(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
