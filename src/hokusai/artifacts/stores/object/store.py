"""Artifacts in an object store that obstore can reach: an S3 bucket, or memory."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import obstore
from cachetools import TTLCache
from obstore import exceptions
from obstore.store import MemoryStore, S3Store

from hokusai import errors
from hokusai.artifacts.store import CHUNK, PAGE, Entry, Stat
from hokusai.artifacts.stores.object.listing import Listing
from hokusai.artifacts.stores.object.store_errors import status_of, translate_errors
from hokusai.artifacts.stores.object.upload import CREATED, ObjectUpload

if TYPE_CHECKING:
    from obstore import GetOptions, ListStream, ObjectMeta

log = logging.getLogger("hokusai.artifacts")

#: Ours, at the top of the store: no key reaches it, no listing shows it.
RESERVED = ".hokusai"
_PROBE = f"{RESERVED}/probe"

#: Seconds for which a store that took a probe counts as ready: ``/ready`` is public, and requests cost money.
_GOOD_SECONDS = 10

#: Seconds for which a directory counts as one, after a file has landed in it from this process.
_DIRECTORY_SECONDS = 60


class ObjectStore:
    """Objects in a flat namespace that behaves as a tree: a directory is there while something is in it.

    A bucket has no transactions: a file and a directory may get one name where two uploads of the
    same moment ask for it. Both can be read and deleted then.

    Each call has ``seconds``; a ``commit`` has ``commit_seconds``, and a transaction waits for it.
    Several processes may share a bucket. It cannot be asked for uploads that were never completed
    (obstore 0.12 has no call for that): those of killed processes are for the bucket's own rule.
    """

    deletes_at_once = False

    def __init__(self, store: MemoryStore | S3Store, *, seconds: float = 60, commit_seconds: float = 45) -> None:
        self.vendor = store
        self.seconds = seconds
        self.commit_seconds = commit_seconds
        self._directories: TTLCache[str, None] = TTLCache(4096, ttl=_DIRECTORY_SECONDS)
        self._ending: set[asyncio.Task[None]] = set()
        self._good_until = 0.0

    @asynccontextmanager
    async def upload(self, key: str) -> AsyncIterator[ObjectUpload]:
        upload = ObjectUpload(self, key)
        try:
            yield upload
        finally:
            ending = asyncio.create_task(upload.end())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
            await asyncio.wait({ending}, timeout=self.seconds)

    async def open(self, key: str) -> ObjectReader | None:
        found = await self._head(key)
        if found is None:
            await self._confirm()
            return None
        return ObjectReader(self, key, *found)

    async def stat(self, key: str) -> Stat | None:
        found = await self._head(key)
        if found is None:
            await self._confirm()
            return None
        return found[0]

    async def list(self, directory: str) -> AsyncGenerator[Sequence[Entry], None]:
        listing = Listing(self.vendor, directory, hidden=RESERVED, following=self._following)
        async with contextlib.aclosing(listing.pages()) as pages:
            async for page in pages:
                yield page

    async def delete(self, key: str) -> bool:
        self._directories.clear()
        found = False
        keys = obstore.list(self.vendor, key, chunk_size=PAGE)
        while page := await self._following(keys):
            await self._remove([one["path"] for one in page])
            found = True
        if await self._head(key):
            await self._remove([key])
            found = True
        return found

    async def start(self) -> None:
        try:
            await self.check()
        except errors.ArtifactStoreFull:
            log.warning("the artifact store is full: what is there can be read, and nothing added")
        except errors.HokusaiError as error:
            reason = str(error).removeprefix("artifacts: ").removesuffix(".")
            raise errors.ArtifactStoreUnusable(reason=f"{reason} ({error.code}, the cause is in the log)") from None
        try:
            await self._remove([_PROBE])
        except errors.HokusaiError:
            log.warning("nothing can be deleted from the artifact store: deletions will fail, all else works")

    async def check(self) -> None:
        if time.monotonic() < self._good_until:
            return
        await self._confirm()
        async with self.calling("write"):
            await obstore.put_async(self.vendor, _PROBE, b"", use_multipart=False)
        await self._head(_PROBE)
        self._good_until = time.monotonic() + _GOOD_SECONDS

    async def sweep(self) -> int:
        return 0

    async def close(self) -> None:
        if self._ending:
            await asyncio.wait(self._ending, timeout=self.seconds)

    async def refuse_taken(self, key: str) -> None:
        """Raises ``errors.ArtifactPathTaken`` where a file of this name would share it with a directory.

        A directory that took a file a moment ago is not asked after again, nor are those above it.
        """
        parents = [parent for parent in _parents(key) if parent not in self._directories]
        inside, *found = await asyncio.gather(self._first(key), *(self._head(parent) for parent in parents))
        if inside:
            raise errors.ArtifactPathTaken(reason="a directory has this name")
        if any(found):
            raise errors.ArtifactPathTaken(reason="a file has the name of a parent")

    def landed(self, key: str) -> None:
        """Remember that ``key`` is a file, and what is above it directories."""
        self._directories.pop(key, None)
        self._directories.update(dict.fromkeys(_parents(key)))

    @asynccontextmanager
    async def calling(self, action: str, seconds: float | None = None) -> AsyncIterator[None]:
        with translate_errors(action):
            async with asyncio.timeout(seconds or self.seconds):
                yield

    async def _head(self, key: str) -> tuple[Stat, str | None] | None:
        """The answer to HEAD has no body that tells why: where it is a refusal, a listing says more."""
        async with self.calling("read"):
            try:
                found = await obstore.get_async(self.vendor, key, options={"head": True})
            except FileNotFoundError:
                return None
            except exceptions.BaseError as error:
                if (status := status_of(error)) in {400, 403}:
                    await self._confirm()
                if status == 400:  # the store is well, so it is the name that no object can have
                    return None
                raise
        told = found.attributes.get(CREATED)
        created = datetime.fromisoformat(told) if told else found.meta["last_modified"]
        return Stat(found.meta["size"], created), found.meta["e_tag"]

    async def _confirm(self) -> None:
        """Raises where the whole store is away: then nothing in it may be called unknown."""
        await self._first(RESERVED)

    async def _first(self, directory: str) -> Sequence[ObjectMeta]:
        return await self._following(obstore.list(self.vendor, directory, chunk_size=1))

    async def _following(self, keys: ListStream[Sequence[ObjectMeta]]) -> Sequence[ObjectMeta]:
        async with self.calling("list"):
            try:  # not anext(keys, ()): it does not take obstore's own awaitables (CPython 3.11)
                return await anext(keys)
            except StopAsyncIteration:
                return ()

    async def _remove(self, keys: Sequence[str]) -> None:
        async with self.calling("delete"):
            await obstore.delete_async(self.vendor, keys)


class ObjectReader:
    """One version of one object, told by its entity tag."""

    def __init__(self, store: ObjectStore, key: str, stat: Stat, etag: str | None) -> None:
        self.stat = stat
        self._store = store
        self._key = key
        self._etag = etag

    async def chunks(self, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        if not length:
            return
        options: GetOptions = {"if_match": self._etag}
        if length < self.stat.size:  # some servers answer a range that is the whole with the whole
            options["range"] = (offset, offset + length)
        async with self._store.calling("read"):
            found = await obstore.get_async(self._store.vendor, self._key, options=options)
        stream = found.stream(min_chunk_size=CHUNK // 2)
        while length:
            async with self._store.calling("read"):
                try:
                    data = bytes(await anext(stream))
                except StopAsyncIteration:
                    raise OSError("the object is shorter than it was") from None
            length -= len(data)
            for start in range(0, len(data), CHUNK):
                yield data[start : start + CHUNK]

    stretches = chunks

    async def aclose(self) -> None: ...


def _parents(key: str) -> Iterator[str]:
    while "/" in key:
        key = key.rpartition("/")[0]
        yield key
