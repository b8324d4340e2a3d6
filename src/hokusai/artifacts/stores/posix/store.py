"""Artifacts on a local disk: a directory of plain files, in MLflow's layout.

Why not obstore's ``LocalStore``: it gives Python no fsync (obstore 0.12), it keeps half-written files among the
finished ones under names that it then forbids (``NAME#1``), and a full disk and a refused permission differ in the
text of its errors only.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

from hokusai import errors
from hokusai.artifacts.store import SLICE, Entry, FileSlice, Piece, Stat
from hokusai.artifacts.stores.posix import layout, open_file, part_file, tree
from hokusai.artifacts.stores.posix.staging import LocalStaging
from hokusai.artifacts.stores.posix.threads import Threads
from hokusai.artifacts.stores.posix.upload import LocalUpload

log = logging.getLogger("hokusai.artifacts")


class LocalStore:
    """Files below one directory.

    An upload is written under a temporary name in ``DIR/.hokusai`` (the same file system), synced, renamed to its
    own name, and the directory synced. All calls run on ``threads`` threads of this store, each for at most
    ``seconds``. Several processes may share a directory.
    """

    def __init__(self, directory: bytes, *, threads: int = 8, seconds: float = 60) -> None:
        self._layout = layout.Layout(directory)
        self._threads = Threads(threads, seconds)
        self.staging = LocalStaging(self._layout, self._threads)

    @asynccontextmanager
    async def upload(self, key: str) -> AsyncIterator[LocalUpload]:
        part = part_file.PartFile(self._layout, key)
        upload = LocalUpload(part, self._threads)
        try:
            yield upload
            await upload.sync_names()
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

    async def walk(self, directory: str) -> AsyncGenerator[Sequence[Entry], None]:
        found = tree.Tree(self._layout, directory)
        while page := await self._threads.run("list", found.page):
            yield page

    async def delete(self, key: str) -> bool:
        removal = await self.staging.remove(key)
        if removal is None:
            return False
        await removal.purge()
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
            log.warning("the artifact store is full: downloads work, uploads fail until there is space")
        except errors.HokusaiError as error:
            raise errors.ArtifactStoreUnusable(reason=str(error)) from error

    async def check(self) -> None:
        await self._threads.run("write", part_file.probe, self._layout)

    async def close(self) -> None:
        await self._threads.close()


class LocalReader:
    """An open file (``store.Reader``)."""

    def __init__(self, file: open_file.OpenFile, stat: Stat, threads: Threads) -> None:
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

    async def slices(self, offset: int, length: int) -> AsyncGenerator[Piece | FileSlice, None]:
        if length <= open_file.PIECE:
            async for piece in self.chunks(offset, length):
                yield piece
            return
        for start in range(offset, offset + length, SLICE):
            yield FileSlice(self._file.number, start, min(SLICE, offset + length - start))

    async def aclose(self) -> None:
        self._threads.later(self._file.close)
