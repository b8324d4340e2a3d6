"""Artifacts, carried from one store to another and compared on the way."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TypeVar

from hokusai import errors
from hokusai.artifacts import ArtifactStore, LocalStore, Reader, Stat, Written, store_at
from hokusai.backup.manifest import ARTIFACTS

#: Artifacts carried at a time.
_AT_ONCE = 8

T = TypeVar("T")

#: Told of each artifact: its key, and the bytes that it adds.
Told = Callable[[str, int], None]


def nobody(_key: str, _size: int) -> None: ...


@asynccontextmanager
async def started(store: ArtifactStore) -> AsyncIterator[ArtifactStore]:
    await store.start()
    try:
        yield store
    finally:
        await store.close()


def kept_in(directory: Path) -> LocalStore:
    """The artifacts of a backup: a local store, as a server would read it."""
    return LocalStore(bytes(directory / ARTIFACTS))


def kept_at(url: str) -> ArtifactStore:
    return store_at(url)


async def carry(source: ArtifactStore, target: ArtifactStore, key: str, expected: str | None) -> Written | Stat | None:
    """Copy one artifact. None: it is not there. ``Stat``: its SHA-256 is not the ``expected`` one, and nothing came."""
    reader = await source.open(key)
    if reader is None:
        return None
    try:
        async with target.upload(key) as upload, aclosing(reader.chunks(0, reader.stat.size)) as chunks:
            async for chunk in chunks:
                await upload.write([chunk])
            written = await upload.finish()
            if expected is not None and written.sha256 != expected:
                return Stat(written.size, written.created)
            await upload.commit()
            return written
    finally:
        await reader.aclose()


async def digest(store: ArtifactStore, key: str) -> str | None:
    """The SHA-256 of what is there, or None."""
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
    """Work on all rows, a few at a time. The first error ends it."""
    left = iter(rows)

    async def run() -> None:
        for row in left:
            await work(row)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
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
