"""A file on its way into an object store: in memory while it is small, in parts when it is not."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import obstore

from hokusai import errors
from hokusai.artifacts.store import Piece, Stat, Written

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from obstore import AsyncWritableFile
    from obstore.store import MemoryStore, S3Store

#: Bytes in a part of a large file; smaller files are sent as one. S3 takes 10,000 parts of 5 MiB or more.
PART = 5 << 20
PARTS = 10_000

#: Seconds to find out whether a ``commit`` without an answer took place.
_LOOK_SECONDS = 2

#: The attribute that ties an object to its record: an object store's own clock is not ours to set.
CREATED = "hokusai-created"


class Store(Protocol):
    """What an upload needs of ``ObjectStore``."""

    vendor: MemoryStore | S3Store
    commit_seconds: float

    def calling(self, action: str, seconds: float | None = None) -> AbstractAsyncContextManager[None]: ...

    async def refuse_taken(self, key: str) -> None: ...

    async def stat(self, key: str) -> Stat | None: ...

    def landed(self, key: str) -> None: ...


class ObjectUpload:
    """One upload, with two parts in memory at most: one on its way, and one being gathered.

    ``finish`` waits for all parts but the last, incomplete one and asks whether the name is free;
    ``commit`` sends that one and completes the upload, or puts the small file: what is before it is
    invisible, and a transaction waits for it, so it is to be short.
    """

    def __init__(self, store: Store, key: str) -> None:
        self._store = store
        self._key = key
        self._sha256 = hashlib.sha256()
        self._size = 0
        self._held: list[bytes] = []
        self._created = datetime.now(UTC)
        self._writer: AsyncWritableFile | None = None
        self._running: asyncio.Task[None] | None = None
        self._checked = False

    async def write(self, data: Sequence[Piece]) -> None:
        await self._ran()
        self._running = asyncio.create_task(self._take(data))

    async def finish(self) -> Written:
        await self._ran()
        if self._writer is None:
            self._created = _moment()
        else:
            await self._send(b"")  # waits for what is on its way
        await self._check()
        return Written(self._size, self._sha256.hexdigest(), self._created)

    async def commit(self) -> None:
        await self._ran()
        await self._check()
        self._running = asyncio.create_task(self._land())
        await self._ran()
        self._store.landed(self._key)

    async def stage(self) -> None:
        """It takes its time."""

    async def end(self) -> None:
        """Wait for what runs, and take back the parts of a file that has not landed."""
        if self._running is not None:
            await asyncio.wait({self._running})
            self._running.cancelled() or self._running.exception()
        if self._writer is not None:
            with contextlib.suppress(errors.HokusaiError):
                async with self._store.calling("abort"):
                    await self._writer.__aexit__(errors.UploadIncomplete, None, None)

    async def _ran(self) -> None:
        """Waits for the task, which goes on where the waiting is cancelled: a part has an end, half a call has none."""
        if self._running is not None:
            await asyncio.wait({self._running})
            running, self._running = self._running, None
            running.result()

    async def _take(self, data: Sequence[Piece]) -> None:
        piece = await asyncio.to_thread(self._hash, data)
        self._size += len(piece)
        if self._size > PARTS * PART:
            raise errors.ArtifactTooLarge(limit=PARTS * PART)
        if self._writer is not None:
            await self._send(piece)
            return
        self._held.append(piece)
        if self._size >= PART:
            await self._store.refuse_taken(self._key)
            self._begin()
            await self._send(self._gathered())

    def _begin(self) -> None:
        self._created = _moment()
        self._writer = obstore.open_writer_async(
            self._store.vendor,
            self._key,
            attributes={CREATED: self._created.isoformat()},
            buffer_size=PART,
            max_concurrency=1,
        )

    async def _send(self, piece: bytes) -> None:
        assert self._writer is not None
        async with self._store.calling("write"):
            await self._writer.write(piece)

    async def _land(self) -> None:
        """A store that fell silent may have done what it was asked to: that is looked up."""
        try:
            async with self._store.calling("write", self._store.commit_seconds):
                await self._put()
        except errors.Unavailable:
            if not await self._landed():
                raise

    async def _landed(self) -> bool:
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                return await self._store.stat(self._key) == Stat(self._size, self._created)
        except (errors.HokusaiError, TimeoutError):
            return False

    async def _put(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            await writer.close()  # aborts where it fails
            return
        attributes = {CREATED: self._created.isoformat()}
        await obstore.put_async(
            self._store.vendor, self._key, self._gathered(), attributes=attributes, use_multipart=False
        )

    async def _check(self) -> None:
        if not self._checked:
            await self._store.refuse_taken(self._key)
            self._checked = True

    def _gathered(self) -> bytes:
        data = b"".join(self._held)
        self._held.clear()
        return data

    def _hash(self, data: Sequence[Piece]) -> bytes:
        piece = b"".join(data)
        self._sha256.update(piece)
        return piece


_last = datetime.fromtimestamp(0, UTC)


def _moment() -> datetime:
    """Now, and never the same twice in this process."""
    global _last
    _last = max(datetime.now(UTC), _last + timedelta(microseconds=1))
    return _last
