"""An upload to an object store: held in memory while it is small, sent in parts when it is not."""

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

#: Bytes in a part of a large file; smaller files are sent whole. S3 accepts 10,000 parts of at least 5 MiB.
PART = 5 << 20
MAX_PARTS = 10_000

#: Seconds to find out whether a ``commit`` that was not answered took effect.
_VERIFY_SECONDS = 2

#: The attribute with the time that an object and its record share: the store's own time stamp cannot be set.
CREATED = "hokusai-created"


class Store(Protocol):
    """What an upload needs of ``ObjectStore``."""

    vendor: MemoryStore | S3Store
    commit_seconds: float

    def calling(self, action: str, seconds: float | None = None) -> AbstractAsyncContextManager[None]: ...

    async def refuse_taken(self, key: str) -> None: ...

    async def stat(self, key: str) -> Stat | None: ...

    def stored(self, key: str) -> None: ...


class ObjectUpload:
    """One upload (``store.Upload``), with at most two parts in memory: one being sent, and one being filled.

    ``finish`` waits for all parts except the last, incomplete one, and checks that the name is free. ``commit`` sends
    the last part and completes the upload, or sends the whole of a small file. Nothing is visible before that, and a
    transaction waits for it, so it must be short.
    """

    def __init__(self, store: Store, key: str) -> None:
        self._store = store
        self._key = key
        self._sha256 = hashlib.sha256()
        self._size = 0
        self._collected: list[bytes] = []
        self._created = datetime.now(UTC)
        self._writer: AsyncWritableFile | None = None
        self._running: asyncio.Task[None] | None = None
        self._checked = False

    async def write(self, data: Sequence[Piece]) -> None:
        await self._idle()
        self._running = asyncio.create_task(self._take(data))

    async def finish(self) -> Written:
        await self._idle()
        if self._writer is None:
            self._created = _moment()
        else:
            await self._send(b"")  # waits for the part that is being sent
        await self._check()
        return Written(self._size, self._sha256.hexdigest(), self._created)

    async def commit(self) -> None:
        await self._idle()
        await self._check()
        self._running = asyncio.create_task(self._complete())
        await self._idle()
        self._store.stored(self._key)

    async def stage(self) -> None:
        """None: a commit takes long here."""

    async def end(self) -> None:
        """Wait for the running task, and remove the parts of a file that was not committed."""
        if self._running is not None:
            await asyncio.wait({self._running})
            self._running.cancelled() or self._running.exception()
        if self._writer is not None:
            with contextlib.suppress(errors.HokusaiError):
                async with self._store.calling("abort"):
                    await self._writer.__aexit__(errors.UploadIncomplete, None, None)

    async def _idle(self) -> None:
        """Wait for the running task. It continues if the wait is cancelled: half a call cannot be undone."""
        if self._running is not None:
            await asyncio.wait({self._running})
            running, self._running = self._running, None
            running.result()

    async def _take(self, data: Sequence[Piece]) -> None:
        piece = await asyncio.to_thread(self._hash, data)
        self._size += len(piece)
        if self._size > MAX_PARTS * PART:
            raise errors.ArtifactTooLarge(limit=MAX_PARTS * PART)
        if self._writer is not None:
            await self._send(piece)
            return
        self._collected.append(piece)
        if self._size >= PART:
            await self._store.refuse_taken(self._key)
            self._begin()
            await self._send(self._joined())

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

    async def _complete(self) -> None:
        """Where the store does not answer, look whether it has stored the file all the same."""
        try:
            async with self._store.calling("write", self._store.commit_seconds):
                await self._put()
        except errors.Unavailable:
            if not await self._is_stored():
                raise

    async def _is_stored(self) -> bool:
        try:
            async with asyncio.timeout(_VERIFY_SECONDS):
                return await self._store.stat(self._key) == Stat(self._size, self._created)
        except (errors.HokusaiError, TimeoutError):
            return False

    async def _put(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            await writer.close()  # aborts the upload where it fails
            return
        attributes = {CREATED: self._created.isoformat()}
        await obstore.put_async(
            self._store.vendor, self._key, self._joined(), attributes=attributes, use_multipart=False
        )

    async def _check(self) -> None:
        if not self._checked:
            await self._store.refuse_taken(self._key)
            self._checked = True

    def _joined(self) -> bytes:
        data = b"".join(self._collected)
        self._collected.clear()
        return data

    def _hash(self, data: Sequence[Piece]) -> bytes:
        piece = b"".join(data)
        self._sha256.update(piece)
        return piece


_last = datetime.fromtimestamp(0, UTC)


def _moment() -> datetime:
    """The current time, never the same twice in this process."""
    global _last
    _last = max(datetime.now(UTC), _last + timedelta(microseconds=1))
    return _last
