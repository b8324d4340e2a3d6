"""Artifacts on a local disk: a directory of plain files, in MLflow's layout.

Not obstore's ``LocalStore``: it offers Python no fsync (obstore 0.12), keeps half-written files
among the finished ones under names it then forbids (``NAME#1``), and tells full disks and refused
permissions apart in prose alone.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, ParamSpec, TypeVar

from hokusai import errors
from hokusai.artifacts.store import STRETCH, Entry, Piece, Stat, Stretch, Written
from hokusai.artifacts.stores.object.store_errors import denied
from hokusai.artifacts.stores.posix import layout, open_file, part_file

log = logging.getLogger("hokusai.artifacts")

P = ParamSpec("P")
T = TypeVar("T")

#: Files up to this size are written by who lands them, many together; larger ones while they arrive.
SMALL = 256 * 1024

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class LocalStore:
    """Files below one directory.

    An upload is written under a temporary name in ``DIR/.hokusai`` (the same file system), synced,
    renamed into place, and the directory synced. All calls run on ``threads`` threads of its own;
    each has ``seconds``. Several processes may share a directory.
    """

    deletes_at_once = True

    def __init__(self, directory: bytes, *, threads: int = 8, seconds: float = 60) -> None:
        self._layout = layout.Layout(directory)
        self._threads = _Threads(threads, seconds)

    @asynccontextmanager
    async def upload(self, key: str) -> AsyncIterator[LocalUpload]:
        part = part_file.PartFile(self._layout, key)
        upload = LocalUpload(part, self._threads)
        try:
            yield upload
            await upload.settle()
        finally:
            await upload.end()

    async def open(self, key: str) -> LocalReader | None:
        file = open_file.OpenFile(self._layout, key)
        stat = None
        try:
            stat = await self._threads.run("read", file.open)
        finally:
            if stat is None:
                self._threads.later(file.close)
        return LocalReader(file, stat, self._threads) if stat else None

    async def stat(self, key: str) -> Stat | None:
        return await self._threads.run("read", open_file.stat_of, self._layout, key)

    async def list(self, directory: str) -> AsyncGenerator[Sequence[Entry], None]:
        scan = open_file.Scan(self._layout, directory)
        try:
            while page := await self._threads.run("list", scan.page):
                yield page
        finally:
            self._threads.later(scan.close)

    async def delete(self, key: str) -> bool:
        doomed = await self._threads.run("delete", layout.remove, self._layout, key)
        if doomed is None:
            return False
        self._threads.later(partial(layout.purge, doomed))  # what a crash leaves of it is swept at the next start
        return True

    async def start(self) -> None:
        try:
            await self._threads.run("write", self._layout.prepare)
        except errors.HokusaiError as error:
            reason = getattr(error.__cause__, "strerror", None) or str(error)
            raise errors.ArtifactStoreUnusable(reason=f"{os.fsdecode(self._layout.root)}: {reason}") from error
        try:
            await self.check()
        except errors.ArtifactStoreFull:
            log.warning("the artifact store is full: what is there can be read, and nothing added")
        except errors.HokusaiError as error:
            raise errors.ArtifactStoreUnusable(reason=str(error)) from error
        try:
            swept = await self.sweep()
        except errors.HokusaiError:
            log.warning("leftovers of uploads and deletions are still being swept, or could not be")
        else:
            log.info("swept %d leftovers of uploads and deletions that were cut short", swept)

    async def check(self) -> None:
        await self._threads.run("write", part_file.probe, self._layout)

    async def sweep(self) -> int:
        return await self._threads.run("delete", self._layout.sweep)

    async def close(self) -> None:
        await self._threads.close()


class LocalUpload:
    """One upload. Pieces are written and hashed, side by side on threads, while the next are being received.

    The last are kept back until ``finish``, which takes a small file onto the disk in one go.
    """

    def __init__(self, part: part_file.PartFile, threads: _Threads) -> None:
        self.part = part
        self.ended = False
        self._threads = threads
        self._last: Sequence[Piece] = ()
        self._under_way: list[asyncio.Future[None]] = []
        self._syncing: asyncio.Future[None] | None = None
        self._unsynced = 0

    async def write(self, data: Sequence[Piece]) -> None:
        await self._ready()
        if self._last:
            submit = self._threads.submit
            self._under_way = [submit(self.part.write, self._last), submit(self.part.hash, self._last)]
        self._last = data
        self._unsynced += sum(map(len, data))
        if self._unsynced >= part_file.SYNC:
            self._unsynced = 0
            await self._synced()
            self._syncing = self._threads.submit(self.part.sync)

    async def finish(self) -> Written:
        await self._ready()
        await self._synced()
        return await self._threads.run("write", self._finish)

    async def commit(self) -> None:
        await self._threads.run("write", self.part.commit)

    async def stage(self) -> LocalFile:
        await self._ready()
        if self.part.size + sum(map(len, self._last)) > SMALL:
            await self.finish()
        return LocalFile(self)

    def write_last(self) -> None:
        """Blocks."""
        last, self._last = self._last, ()
        if last:
            self.part.write(last)
            self.part.hash(last)

    async def settle(self) -> None:
        if not self.ended:
            await self._threads.run("write", self.part.settle, set())
            self.ended = True

    async def end(self) -> None:
        """Waits for the disk even where the request was cancelled or failed; never raises for the disk."""
        if self.ended:
            return
        for future in (*self._under_way, self._syncing):
            if future is not None and not future.cancel() and not future.cancelled():
                future.exception()
        await self._threads.wait(self._threads.later(self.part.discard))

    def _finish(self) -> Written:
        self.write_last()
        return self.part.finish()

    async def _ready(self) -> None:
        """The last pieces but those kept back are written and hashed."""
        for future in self._under_way:
            await self._threads.result("write", future)
        self._under_way = []

    async def _synced(self) -> None:
        if self._syncing is not None:
            syncing, self._syncing = self._syncing, None
            await self._threads.result("write", syncing)


class LocalFile:
    """What is left of an upload (``store.StagedFile``)."""

    def __init__(self, upload: LocalUpload) -> None:
        self._upload = upload
        self._part = upload.part

    def begin(self) -> None:
        with _translate_errors("write"):
            self._upload.write_last()

    def finish(self) -> Written:
        with _translate_errors("write"):
            return self._part.finish()

    def appear(self) -> None:
        with _translate_errors("write"):
            self._part.commit()

    def settle(self, synced: set[bytes]) -> None:
        with _translate_errors("write"):
            self._part.settle(synced)
        self._upload.ended = True


class LocalReader:
    """One open file."""

    def __init__(self, file: open_file.OpenFile, stat: Stat, threads: _Threads) -> None:
        self.stat = stat
        self._file = file
        self._threads = threads

    async def chunks(self, offset: int, length: int) -> AsyncGenerator[Piece, None]:
        while length:
            data = self._file.cached(offset, min(length, open_file.PIECE))
            if data is None:
                data = await self._threads.run("read", self._file.read, offset, min(length, open_file.PIECE))
            offset += len(data)
            length -= len(data)
            yield data

    async def stretches(self, offset: int, length: int) -> AsyncGenerator[Piece | Stretch, None]:
        if length <= open_file.PIECE:
            async for piece in self.chunks(offset, length):
                yield piece
            return
        for start in range(offset, offset + length, STRETCH):
            yield Stretch(self._file.number, start, min(STRETCH, offset + length - start))

    async def aclose(self) -> None:
        self._threads.later(self._file.close)


class _Threads:
    """Runs blocking calls, each with a bound in time; what goes wrong in them becomes an error of ours."""

    def __init__(self, count: int, seconds: float) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="artifacts")
        self._seconds = seconds

    def submit(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._pool, partial(call, *args, **kwargs))

    async def run(self, action: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.result(action, self.submit(call, *args, **kwargs))

    async def result(self, action: str, future: asyncio.Future[T]) -> T:
        with _translate_errors(action):  # TimeoutError is an OSError
            async with asyncio.timeout(self._seconds):
                return await future

    def later(self, call: Callable[[], T]) -> asyncio.Future[T]:
        """Run a call that must happen, whether or not somebody waits for it."""
        future = self.submit(call)
        future.add_done_callback(_noted)
        return future

    async def wait(self, future: asyncio.Future[None]) -> None:
        """Wait for a call, unless the disk hangs; what went wrong in it is not raised."""
        await asyncio.wait({future}, timeout=self._seconds)

    async def close(self) -> None:
        await asyncio.to_thread(self._pool.shutdown)


def _noted(future: asyncio.Future[Any]) -> None:
    if not future.cancelled() and (error := future.exception()):
        log.error("an upload could not be cleaned up: %s", error)


@contextmanager
def _translate_errors(action: str) -> Iterator[None]:
    """What the system raises leaves the block as an error of ours."""
    try:
        yield
    except OSError as error:
        raise _translated(error, action) from error


def _translated(error: OSError, action: str) -> errors.HokusaiError:
    if error.errno in {errno.EISDIR, errno.ENOTDIR}:
        there = "a directory has this name" if error.errno == errno.EISDIR else "a file has the name of a parent"
        return errors.ArtifactPathTaken(reason=there)
    if error.errno == errno.ENAMETOOLONG:
        return errors.ArtifactPathInvalid(reason="it is too long for the artifact store")
    log.error("the artifact store failed (%s): %r", action, error)
    if error.errno in _FULL:
        return errors.ArtifactStoreFull()
    if error.errno in _DENIED:
        return denied(action)
    return errors.ArtifactStoreDown()
