"""Files that arrive at the same moment land together: on the disk, and in one transaction."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from hokusai import errors
from hokusai.artifacts.http import digests
from hokusai.artifacts.ledger import Arrival, Ledger, Seen
from hokusai.artifacts.path import Place
from hokusai.artifacts.store import StagedFile, Written
from hokusai.identity import Quota

log = logging.getLogger("hokusai.artifacts")

#: Files that land together, at most.
_MOST = 64
#: Seconds they have, on a disk that may hang and in a database that may be locked.
_SECONDS = 60


@dataclass(frozen=True, slots=True, eq=False)
class PendingFile:
    """A file that is all there: ``file`` is what is left to do, ``digests`` what it must match, in hexadecimal."""

    place: Place
    key_id: str
    quota: Quota
    digests: tuple[str, ...]
    seen: Seen | None
    file: StagedFile


#: What became of one, in the end.
Outcome = Written | Exception


class GroupCommit:
    """Lets files appear, each as ``Ledger.record`` promises, for stores that hand them over.

    What the disk and the database cost is about the same for one file as for many, and so is a change of
    threads. While some land the next ones wait, and land together after them; one that comes alone does not wait.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: list[tuple[PendingFile, asyncio.Future[Written]]] = []
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="landings")

    async def land(self, landing: PendingFile) -> Written:
        """Raises the refusal, or what the disk, ``Ledger.record`` and the database raise."""
        outcome: asyncio.Future[Written] = asyncio.get_running_loop().create_future()
        self._waiting.append((landing, outcome))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="landings")
        return await outcome

    async def close(self) -> None:
        """Waits for what is landing."""
        if self._task is not None:
            await asyncio.wait({self._task})
        self._thread.shutdown(wait=False)

    async def _run(self) -> None:
        try:
            while batch := self._batch():
                for (_, future), outcome in zip(batch, await self._land([one for one, _ in batch]), strict=True):
                    if future.done():  # its request has ended
                        continue
                    if isinstance(outcome, Exception):
                        future.set_exception(outcome)
                    else:
                        future.set_result(outcome)
        finally:
            self._task = None

    def _batch(self) -> list[tuple[PendingFile, asyncio.Future[Written]]]:
        """Those who have waited longest and still do, of several at one place the first."""
        batch: dict[Place, tuple[PendingFile, asyncio.Future[Written]]] = {}
        rest: list[tuple[PendingFile, asyncio.Future[Written]]] = []
        for landing, future in self._waiting:
            if future.done():
                continue
            if len(batch) < _MOST and landing.place not in batch:
                batch[landing.place] = landing, future
            else:
                rest.append((landing, future))
        self._waiting = rest
        return list(batch.values())

    async def _land(self, landings: Sequence[PendingFile]) -> Sequence[Outcome]:
        try:
            async with asyncio.timeout(_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self._thread, together, self._ledger, landings)
        except TimeoutError:
            log.error("files could not land within %g seconds", _SECONDS)
            return [errors.ArtifactStoreDown() for _ in landings]
        except Exception as error:  # no thread could be had: somebody waits for each of them all the same
            log.exception("files could not land")
            return [error for _ in landings]


def together(ledger: Ledger, landings: Sequence[PendingFile]) -> Sequence[Outcome]:
    """Every file on the disk; then those that may and can are recorded and visible, in one transaction. Blocks."""
    batch = _Batch(ledger)
    batch.settle(batch.record(batch.finish(landings)))
    return [batch.faults.get(one) or batch.written[one] for one in landings]


class _Batch:
    """Files on their way, step by step. Each step gives those that came through it."""

    def __init__(self, ledger: Ledger) -> None:
        self.written: dict[PendingFile, Written] = {}
        self.faults: dict[PendingFile, Exception] = {}
        self._ledger = ledger

    def finish(self, landings: Sequence[PendingFile]) -> list[PendingFile]:
        """All are written before the first is waited for: file systems take them to the disk together."""
        return self._each(self._finish, self._each(lambda one: one.file.begin(), landings))

    def record(self, landings: Sequence[PendingFile]) -> list[PendingFile]:
        try:
            faults = self._ledger.record([self._arrival(one) for one in landings]) if landings else []
        except Exception as error:  # for all of them: it is the database
            self.faults |= dict.fromkeys(landings, error)
            return []
        self.faults |= {one: fault for one, fault in zip(landings, faults, strict=True) if fault}
        return [one for one in landings if one not in self.faults]

    def settle(self, landings: Sequence[PendingFile]) -> None:
        """A disk tells once that it lost something, and not whose it was: nobody behind is told that all is well."""
        synced: set[bytes] = set()
        lost: Exception | None = None
        for one in landings:
            try:
                if lost is None:
                    one.file.settle(synced)
            except Exception as error:
                lost = error
            if lost is not None:
                self.faults[one] = lost

    def _each(self, step: Callable[[PendingFile], None], landings: Sequence[PendingFile]) -> list[PendingFile]:
        for one in landings:
            try:
                step(one)
            except Exception as error:
                self.faults[one] = error
        return [one for one in landings if one not in self.faults]

    def _finish(self, one: PendingFile) -> None:
        self.written[one] = written = one.file.finish()
        digests.check(one.digests, written.sha256)

    def _arrival(self, one: PendingFile) -> Arrival:
        return Arrival(one.place, self.written[one], one.key_id, one.quota, one.seen, one.file.appear)
