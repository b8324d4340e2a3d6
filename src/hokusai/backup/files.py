"""Artifacts copied from one store to another, and compared with their digests."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TypeVar

from hokusai import errors
from hokusai.artifacts import ArtifactStore, LocalStore, Reader, Stat, Written
from hokusai.backup.manifest import ARTIFACTS

#: Artifacts copied at a time.
_CONCURRENT = 8

T = TypeVar("T")

#: Called for each artifact, with its key and its bytes.
OnArtifact = Callable[[str, int], None]


def ignore(_key: str, _size: int) -> None: ...


@asynccontextmanager
async def started(store: ArtifactStore) -> AsyncIterator[ArtifactStore]:
    await store.start()
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def opened(store: ArtifactStore) -> AsyncIterator[ArtifactStore]:
    """To read from it. It is not started: that would remove what uploads have left, and a backup changes nothing."""
    try:
        yield store
    finally:
        await store.close()


def store_in(directory: Path) -> LocalStore:
    """The artifacts of a backup, as a local store."""
    return LocalStore(bytes(directory / ARTIFACTS))


async def copy(source: ArtifactStore, target: ArtifactStore, key: str, expected: str | None) -> Written | Stat | None:
    """Copy one artifact. None: it does not exist. ``Stat``: this one was read and not copied, because its
    SHA-256 is not ``expected``, or because it was replaced while it was read.
    """
    reader = await source.open(key)
    if reader is None:
        return None
    try:
        async with target.upload(key) as upload, aclosing(reader.chunks(0, reader.stat.size)) as chunks:
            async for chunk in chunks:
                await upload.write([chunk])
            written = await upload.finish()
            if expected is not None and written.sha256 != expected:
                return reader.stat
            await upload.commit()
            return written
    except errors.HokusaiError:
        # A bucket does not tell a file that was replaced or deleted since it was opened from other failures.
        now = await source.stat(key)
        if now is not None and (now, now.version) == (reader.stat, reader.stat.version):
            raise
        return reader.stat if now else None
    finally:
        await reader.aclose()


async def digest(store: ArtifactStore, key: str) -> str | None:
    """The SHA-256 of an artifact; None where it does not exist."""
    reader = await store.open(key)
    if reader is None:
        return None
    try:
        return await _digest(reader)
    finally:
        await reader.aclose()


async def walk(store: ArtifactStore, directory: str) -> AsyncIterator[str]:
    """The key of every file below a directory."""
    waiting = [directory]
    while waiting:
        here = waiting.pop()
        async with aclosing(store.list(here)) as pages:
            async for page in pages:
                for entry in page:
                    if entry.size is None:
                        waiting.append(f"{here}/{entry.name}")
                    else:
                        yield f"{here}/{entry.name}"


async def each(rows: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Call ``work`` for all rows, a few at a time, until the first error, which is raised."""
    left = iter(rows)

    async def run() -> None:
        for row in left:
            await work(row)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(_CONCURRENT):
                group.create_task(run())
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def _digest(reader: Reader) -> str:
    found = hashlib.sha256()
    async with aclosing(reader.chunks(0, reader.stat.size)) as chunks:
        async for chunk in chunks:
            await asyncio.to_thread(found.update, chunk)
    return found.hexdigest()


def unwritable(path: Path, error: Exception) -> errors.BackupUnwritable:
    return errors.BackupUnwritable(path=path, reason=errors.reason_of(error))
