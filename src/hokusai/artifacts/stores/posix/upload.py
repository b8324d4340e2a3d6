"""An upload to the local disk: written, hashed and synced on threads while it is being received."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hokusai.artifacts.store import Piece, Written
from hokusai.artifacts.stores.posix import part_file
from hokusai.artifacts.stores.posix.threads import Threads, translate_errors

#: Bytes. Smaller files are written and synced by the group commit, many at a time; larger ones while they arrive.
SMALL = 256 * 1024


class LocalUpload:
    """One upload (``store.Upload``). Pieces are written and hashed, in parallel, while the next ones are received.

    The last pieces are held back until ``finish``, so that a small file is written in one go.
    """

    def __init__(self, part: part_file.PartFile, threads: Threads) -> None:
        self.part = part
        self.ended = False
        self._threads = threads
        self._last: Sequence[Piece] = ()
        self._writing: list[asyncio.Future[None]] = []
        self._syncing: asyncio.Future[None] | None = None
        self._unsynced = 0

    async def write(self, data: Sequence[Piece]) -> None:
        await self._written()
        if self._last:
            submit = self._threads.submit
            self._writing = [submit(self.part.write, self._last), submit(self.part.hash, self._last)]
        self._last = data
        self._unsynced += sum(map(len, data))
        if self._unsynced >= part_file.SYNC:
            self._unsynced = 0
            await self._synced()
            self._syncing = self._threads.submit(self.part.sync)

    async def finish(self) -> Written:
        await self._written()
        await self._synced()
        return await self._threads.run("write", self._finish)

    async def commit(self) -> None:
        await self._threads.run("write", self.part.commit)

    async def stage(self) -> StagedLocalFile:
        await self._written()
        if self.part.size + sum(map(len, self._last)) > SMALL:
            await self.finish()
        return StagedLocalFile(self)

    def write_last(self) -> None:
        """Write and hash the pieces that were held back. Blocks."""
        last, self._last = self._last, ()
        if last:
            self.part.write(last)
            self.part.hash(last)

    async def sync_names(self) -> None:
        if not self.ended:
            await self._threads.run("write", self.part.sync_names, set())
            self.ended = True

    async def end(self) -> None:
        """Wait for the disk, also where the request was cancelled or failed. Never raises an error of the disk."""
        if self.ended:
            return
        for future in (*self._writing, self._syncing):
            if future is not None and not future.cancel() and not future.cancelled():
                future.exception()
        await self._threads.wait(self._threads.later(self.part.discard))

    def _finish(self) -> Written:
        self.write_last()
        return self.part.finish()

    async def _written(self) -> None:
        """All pieces are written and hashed, except those that are held back."""
        for future in self._writing:
            await self._threads.result("write", future)
        self._writing = []

    async def _synced(self) -> None:
        if self._syncing is not None:
            syncing, self._syncing = self._syncing, None
            await self._threads.result("write", syncing)


class StagedLocalFile:
    """The last steps of an upload (``store.StagedFile``)."""

    def __init__(self, upload: LocalUpload) -> None:
        self._upload = upload
        self._part = upload.part

    def flush(self) -> None:
        with translate_errors("write"):
            self._upload.write_last()

    def finish(self) -> Written:
        with translate_errors("write"):
            return self._part.finish()

    @property
    def name(self) -> str:
        return self._part.name

    def prepare(self) -> None:
        with translate_errors("write"):
            self._part.prepare()

    def commit(self) -> None:
        with translate_errors("write"):
            self._part.commit()

    def sync_names(self, synced: set[bytes]) -> None:
        with translate_errors("write"):
            self._part.sync_names(synced)
        self._upload.ended = True

    def keep(self) -> None:
        self._upload.ended = True

    def discard(self) -> None:
        self._upload.ended = True
        self._part.discard()
