"""Group commit: files that are finished at the same time share one sync of the disk and one transaction.

Syncing a disk and committing a transaction cost about the same for one file as for many, and so does handing work
to a thread. So while one batch is being committed, files that finish meanwhile wait, and form the next batch. A file
that finishes alone is a batch of one, and does not wait.

A batch goes through four steps, on one thread, all its files through each step before the next:

1. ``flush``: bytes still in memory are written. Nothing is waited for yet, so file systems can write them together.
2. ``finish``: every byte is durable; the digest is compared with what the client claimed.
3. ``Ledger.record``: quota and conditions are checked, the records are written and committed.
4. ``commit`` and ``sync_names``: the files get their names, and the directories are synced, each of them once.

Every file gets an outcome of its own: a file that fails at one step leaves the batch with its error, and the others
go on. Where the transaction fails, the database says whether it was committed all the same; where it cannot say that,
the outcome of its files is unknown (``errors.OutcomeUnknown``), and they are handed to ``on_doubt``. A disk that fails
to sync a directory has lost an unknown number of names: then the outcome of every file in the batch is unknown.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from hokusai import errors
from hokusai.artifacts.ledger import CommitInDoubt, Ledger
from hokusai.artifacts.path import Place
from hokusai.artifacts.record import ExpectedVersion, PendingRecord, ReplacedFile
from hokusai.artifacts.store import StagedFile, Staging, Written
from hokusai.audit import Recording
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
    recording: Recording | None = None

    def record(self, written: Written) -> PendingRecord:
        """``written`` is what ``staged.finish`` returned."""
        staged, prepare = self.staged.name, self.staged.prepare
        return PendingRecord(
            *(self.place, written, self.key_id, self.quota, self.expected),
            staged=staged,
            prepare=prepare,
            recording=self.recording,
        )


Outcome = Written | Exception


class GroupCommit:
    """Records files and makes them visible, each as ``Ledger.record`` promises, in a store with ``Staging``."""

    def __init__(self, ledger: Ledger, staging: Staging, on_doubt: Callable[[Sequence[PendingFile]], None]) -> None:
        self._ledger = ledger
        self._staging = staging
        self._on_doubt = on_doubt
        self._waiting: list[tuple[PendingFile, asyncio.Future[Written]]] = []
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="group-commit")

    async def commit(self, file: PendingFile) -> Written:
        """Raises the refusal, or what the disk, ``Ledger.record`` and the database raise."""
        self._loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Written] = self._loop.create_future()
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
        """Where the thread takes too long, it goes on: what it comes to is found out when it has ended."""
        running = self._loop.run_in_executor(self._thread, self._run_batch, files)
        try:
            async with asyncio.timeout(_SECONDS):
                return await asyncio.shield(running)
        except TimeoutError:
            log.error(
                "%d files could not be committed within %g seconds: disk or database too slow", len(files), _SECONDS
            )
            for file in files:
                file.staged.keep()
            running.add_done_callback(partial(self._end_late, files))
            return [errors.OutcomeUnknown() for _ in files]
        except Exception as error:  # for example, no thread could be started: every request still gets an answer
            log.exception("%d files could not be committed", len(files))
            return [error for _ in files]

    def _run_batch(self, files: Sequence[PendingFile]) -> Sequence[Outcome]:
        batch = Batch(self._ledger, self._staging, files)
        batch.run()
        if batch.doubtful:
            self._loop.call_soon_threadsafe(self._on_doubt, batch.doubtful)
        return batch.outcomes

    def _end_late(self, files: Sequence[PendingFile], running: asyncio.Future[Sequence[Outcome]]) -> None:
        """Requests have their answers: files that were not stored are removed here."""
        if running.cancelled() or running.exception():
            return
        for file, outcome in zip(files, running.result(), strict=True):
            if isinstance(outcome, Exception) and not isinstance(outcome, errors.OutcomeUnknown):
                file.staged.discard()


class Batch:
    """Files that go through all steps together. Each step takes files, and returns those that have not failed.

    ``doubtful`` are those of which nobody knows whether they are recorded: they keep their temporary names.
    """

    def __init__(self, ledger: Ledger, staging: Staging, files: Sequence[PendingFile]) -> None:
        self.doubtful: list[PendingFile] = []
        self._files = files
        self._written: dict[PendingFile, Written] = {}
        self._faults: dict[PendingFile, Exception] = {}
        self._replaced: dict[PendingFile, ReplacedFile | None] = {}
        self._ledger = ledger
        self._staging = staging

    @property
    def outcomes(self) -> Sequence[Outcome]:
        return [self._faults.get(file) or self._written[file] for file in self._files]

    def run(self) -> None:
        """Blocks."""
        files = self._each(lambda file: file.staged.flush(), self._files)
        files = self._record(self._each(self._finish, files))
        self._sync_names(self._name(files))

    def _record(self, files: Sequence[PendingFile]) -> list[PendingFile]:
        pending = {file: self._pending(file) for file in files}
        try:
            found = self._ledger.record(list(pending.values()), self._staging.settle_now) if files else []
        except CommitInDoubt as doubt:
            return self._committed(pending, doubt.error)
        except Exception as error:  # from the database: it concerns all files
            self._faults |= dict.fromkeys(files, error)
            return []
        for file, outcome in zip(files, found, strict=True):
            if isinstance(outcome, errors.HokusaiError):
                self._faults[file] = outcome
            else:
                self._replaced[file] = outcome
        return self._recorded(file for file in files if file not in self._faults)

    def _committed(self, pending: Mapping[PendingFile, PendingRecord], error: Exception) -> list[PendingFile]:
        """The files that are recorded, although the commit ended with an ``error``."""
        try:
            committed = self._ledger.committed({file.place: file.staged.name for file in pending})
        except Exception:
            for file in pending:
                file.staged.keep()
                self._faults[file] = errors.OutcomeUnknown()
            self.doubtful += pending
            return []
        self._faults |= {file: error for file in pending if file.place not in committed}
        return self._recorded(file for file in pending if file.place in committed)

    def _recorded(self, files: Iterable[PendingFile]) -> list[PendingFile]:
        found = list(files)
        for file in found:
            if file.recording:
                file.recording.is_written = True
        return found

    def _name(self, files: Sequence[PendingFile]) -> list[PendingFile]:
        """A file that cannot get its name is recorded no longer. Where that fails too, its outcome is unknown."""
        named = self._each(lambda file: file.staged.commit(), files)
        for file in set(files).difference(named):
            if file.recording:
                file.recording.is_written = False  # its failure has a row too
            try:
                self._ledger.withdraw(self._pending(file), self._replaced.get(file))
            except Exception:
                log.exception("a file has no name, and its record could not be taken back")
                file.staged.keep()
                self._faults[file] = errors.OutcomeUnknown()
                self.doubtful.append(file)
        return named

    def _sync_names(self, files: Sequence[PendingFile]) -> None:
        """A disk reports lost data once, and names no file: from the first error on, every file gets that error."""
        synced: set[bytes] = set()
        lost: Exception | None = None
        for file in files:
            try:
                if lost is None:
                    file.staged.sync_names(synced)
            except Exception as error:
                log.error("the names of new files may be lost: %s", error)
                lost = errors.OutcomeUnknown()
            if lost is not None:
                self._faults[file] = lost

    def _each(self, step: Callable[[PendingFile], None], files: Sequence[PendingFile]) -> list[PendingFile]:
        for file in files:
            try:
                step(file)
            except Exception as error:
                self._faults[file] = error
        return [file for file in files if file not in self._faults]

    def _finish(self, file: PendingFile) -> None:
        self._written[file] = written = file.staged.finish()
        written.verify(file.digests)

    def _pending(self, file: PendingFile) -> PendingRecord:
        return file.record(self._written[file])
