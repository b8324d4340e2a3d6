"""Group commit: files that are finished at the same time share one sync of the disk and one transaction.

Syncing a disk and committing a transaction cost about the same for one file as for many, and so does handing work
to a thread. So while one batch is being committed, files that finish meanwhile wait, and form the next batch. A file
that finishes alone is a batch of one, and does not wait.

A batch goes through four steps, on one thread, all its files through each step before the next:

1. ``flush``: bytes still in memory are written. Nothing is waited for yet, so file systems can write them together.
2. ``finish``: every byte is durable; the digest is compared with what the client claimed.
3. ``Ledger.record``: quota and conditions are checked, the records are written, the files are renamed into place,
   and the transaction is committed.
4. ``sync_names``: the directories are synced, each of them once.

Every file gets an outcome of its own: a file that fails at one step leaves the batch with its error, and the others
go on. Where the database fails, or a disk fails to sync a directory, the outcome is an error for every file that
cannot be known to be safe.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from hokusai import errors
from hokusai.artifacts.ledger import Ledger
from hokusai.artifacts.path import Place
from hokusai.artifacts.record import ExpectedVersion, PendingRecord
from hokusai.artifacts.store import StagedFile, Written
from hokusai.identity import Quota

log = logging.getLogger("hokusai.artifacts")

_MAX_BATCH = 64
#: Seconds for one batch: a disk may hang, and a database may be locked.
_SECONDS = 60


@dataclass(frozen=True, slots=True, eq=False)
class PendingFile:
    """A file that has arrived completely. ``digests`` are those that it must have, in hexadecimal.

    ``begin`` is called when its batch begins (``identity.Landing.begin``).
    """

    place: Place
    key_id: str
    quota: Quota
    digests: tuple[str, ...]
    expected: ExpectedVersion | None
    staged: StagedFile
    begin: Callable[[], bool] = lambda: True


Outcome = Written | Exception


class GroupCommit:
    """Records files and makes them visible, each as ``Ledger.record`` promises, for stores that stage them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: list[tuple[PendingFile, asyncio.Future[Written]]] = []
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="group-commit")

    async def commit(self, file: PendingFile) -> Written:
        """Raises the refusal, or what the disk, ``Ledger.record`` and the database raise."""
        outcome: asyncio.Future[Written] = asyncio.get_running_loop().create_future()
        self._waiting.append((file, outcome))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="group-commit")
        return await outcome

    async def close(self) -> None:
        """Waits for the files that are being committed."""
        if self._task is not None:
            await asyncio.wait({self._task})
        self._thread.shutdown(wait=False)

    async def _run(self) -> None:
        try:
            while batch := self._next_batch():
                outcomes = await self._commit([file for file, _ in batch])
                for (_, future), outcome in zip(batch, outcomes, strict=True):
                    if future.done():  # its request has ended
                        continue
                    if isinstance(outcome, Exception):
                        future.set_exception(outcome)
                    else:
                        future.set_result(outcome)
        finally:
            self._task = None

    def _next_batch(self) -> list[tuple[PendingFile, asyncio.Future[Written]]]:
        """The files that have waited longest. Of several at one place, only the first.

        A file whose request is being ended is left out; a request whose file is in a batch is not ended any more.
        """
        batch: dict[Place, tuple[PendingFile, asyncio.Future[Written]]] = {}
        rest: list[tuple[PendingFile, asyncio.Future[Written]]] = []
        for file, future in self._waiting:
            if future.done():
                continue
            if len(batch) < _MAX_BATCH and file.place not in batch:
                if file.begin():
                    batch[file.place] = file, future
            else:
                rest.append((file, future))
        self._waiting = rest
        return list(batch.values())

    async def _commit(self, files: Sequence[PendingFile]) -> Sequence[Outcome]:
        try:
            async with asyncio.timeout(_SECONDS):
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._thread, commit_batch, self._ledger, files)
        except TimeoutError:
            log.error(
                "%d files could not be committed within %g seconds: disk or database too slow", len(files), _SECONDS
            )
            return [errors.ArtifactStoreDown() for _ in files]
        except Exception as error:  # for example, no thread could be started: every request still gets an answer
            log.exception("%d files could not be committed", len(files))
            return [error for _ in files]


def commit_batch(ledger: Ledger, files: Sequence[PendingFile]) -> Sequence[Outcome]:
    """Takes a batch through all steps. Blocks."""
    batch = _Batch(ledger)
    batch.sync_names(batch.record(batch.finish(files)))
    return [batch.faults.get(file) or batch.written[file] for file in files]


class _Batch:
    """The state of one batch. Each step takes files, and returns those that have not failed."""

    def __init__(self, ledger: Ledger) -> None:
        self.written: dict[PendingFile, Written] = {}
        self.faults: dict[PendingFile, Exception] = {}
        self._ledger = ledger

    def finish(self, files: Sequence[PendingFile]) -> list[PendingFile]:
        return self._each(self._finish, self._each(lambda file: file.staged.flush(), files))

    def record(self, files: Sequence[PendingFile]) -> list[PendingFile]:
        try:
            faults = self._ledger.record([self._pending(file) for file in files]) if files else []
        except Exception as error:  # from the database: it concerns all files
            self.faults |= dict.fromkeys(files, error)
            return []
        self.faults |= {file: fault for file, fault in zip(files, faults, strict=True) if fault}
        return [file for file in files if file not in self.faults]

    def sync_names(self, files: Sequence[PendingFile]) -> None:
        """A disk reports lost data once, and names no file: from the first error on, every file gets that error."""
        synced: set[bytes] = set()
        lost: Exception | None = None
        for file in files:
            try:
                if lost is None:
                    file.staged.sync_names(synced)
            except Exception as error:
                lost = error
            if lost is not None:
                self.faults[file] = lost

    def _each(self, step: Callable[[PendingFile], None], files: Sequence[PendingFile]) -> list[PendingFile]:
        for file in files:
            try:
                step(file)
            except Exception as error:
                self.faults[file] = error
        return [file for file in files if file not in self.faults]

    def _finish(self, file: PendingFile) -> None:
        self.written[file] = written = file.staged.finish()
        written.verify(file.digests)

    def _pending(self, file: PendingFile) -> PendingRecord:
        commit = file.staged.commit
        return PendingRecord(file.place, self.written[file], file.key_id, file.quota, file.expected, commit)
