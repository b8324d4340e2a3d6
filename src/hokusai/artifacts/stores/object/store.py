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
from hokusai.artifacts.stores import store_errors
from hokusai.artifacts.stores.object.listing import Listing
from hokusai.artifacts.stores.object.s3_errors import status_of, translate_errors
from hokusai.artifacts.stores.object.upload import CREATED, ObjectUpload

if TYPE_CHECKING:
    from obstore import GetOptions, ListStream, ObjectMeta

log = logging.getLogger("hokusai.artifacts")

#: The store's own directory at its root. No key leads there, and no listing shows it.
RESERVED = ".hokusai"
_PROBE = f"{RESERVED}/probe"

#: Seconds for which a successful check is valid: ``/ready`` is public, and requests to a bucket cost money.
_GOOD_SECONDS = 10

#: Seconds for which a name is known to be a directory, after this process has stored a file in it.
_DIRECTORY_SECONDS = 60


class ObjectStore:
    """Objects in a flat namespace, presented as a tree: a directory exists while there is an object below it.

    A bucket has no transactions: two uploads at the same moment may give one name to a file and to a directory. Both
    can be read and deleted then.

    A call takes at most ``seconds``, and a ``commit``, for which a transaction waits, at most ``commit_seconds``.
    Several processes may share a bucket. Nothing here finds the parts that a killed process left (obstore 0.12
    does not list them): the bucket's lifecycle rule for incomplete uploads removes them.
    """

    staging = None

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
        listing = Listing(self.vendor, directory, hidden=RESERVED, next_page=self._next_page)
        async with contextlib.aclosing(listing.pages()) as pages:
            async for page in pages:
                yield page

    async def walk(self, directory: str) -> AsyncGenerator[Sequence[Entry], None]:
        keys = obstore.list(self.vendor, directory, chunk_size=PAGE)
        while page := await self._next_page(keys):
            yield [Entry(one["path"], one["size"]) for one in page]

    async def delete(self, key: str) -> bool:
        self._directories.clear()
        found = False
        keys = obstore.list(self.vendor, key, chunk_size=PAGE)
        while page := await self._next_page(keys):
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
            log.warning("the artifact store is full: downloads work, uploads fail until there is space")
        except errors.HokusaiError as error:
            reason = str(error).removeprefix("artifacts: ").removesuffix(".")
            raise errors.ArtifactStoreUnusable(reason=f"{reason} ({error.code}, the cause is in the log)") from None
        try:
            await self._remove([_PROBE])
        except errors.HokusaiError:
            log.warning("the artifact store refuses deletions: they will fail, everything else works")

    async def check(self) -> None:
        if time.monotonic() < self._good_until:
            return
        await self._confirm()
        async with self.calling("write"):
            await obstore.put_async(self.vendor, _PROBE, b"", use_multipart=False)
        await self._head(_PROBE)
        self._good_until = time.monotonic() + _GOOD_SECONDS

    async def close(self) -> None:
        if self._ending:
            await asyncio.wait(self._ending, timeout=self.seconds)

    async def refuse_taken(self, key: str) -> None:
        """Raises ``errors.ArtifactPathTaken`` where a directory has this name, or a file the name of a parent.

        A parent is not checked again for a while after a file was stored in it.
        """
        parents = [parent for parent in _parents(key) if parent not in self._directories]
        inside, *found = await asyncio.gather(self._first(key), *(self._head(parent) for parent in parents))
        if inside:
            raise store_errors.is_directory()
        if any(found):
            raise store_errors.parent_is_file()

    def stored(self, key: str) -> None:
        """Remember that ``key`` is a file, and its parents are directories."""
        self._directories.pop(key, None)
        self._directories.update(dict.fromkeys(_parents(key)))

    @asynccontextmanager
    async def calling(self, action: str, seconds: float | None = None) -> AsyncIterator[None]:
        with translate_errors(action):
            async with asyncio.timeout(seconds or self.seconds):
                yield

    async def _head(self, key: str) -> tuple[Stat, str | None] | None:
        """The answer to HEAD has no body, so it gives no reason for a refusal; the answer to a listing does."""
        async with self.calling("read"):
            try:
                found = await obstore.get_async(self.vendor, key, options={"head": True})
            except FileNotFoundError:
                return None
            except exceptions.BaseError as error:
                if (status := status_of(error)) in {400, 403}:
                    await self._confirm()
                if status == 400:  # the store itself works: no object can have this name
                    return None
                raise
        attribute = found.attributes.get(CREATED)
        created = datetime.fromisoformat(attribute) if attribute else found.meta["last_modified"]
        etag = found.meta["e_tag"]
        version = f"{etag}-{found.meta['size']}-{found.meta['last_modified'].isoformat()}"[:128]
        return Stat(found.meta["size"], created, version), etag

    async def _confirm(self) -> None:
        """Raises where the whole store is unavailable: then no file may be called unknown."""
        await self._first(RESERVED)

    async def _first(self, directory: str) -> Sequence[ObjectMeta]:
        return await self._next_page(obstore.list(self.vendor, directory, chunk_size=1))

    async def _next_page(self, keys: ListStream[Sequence[ObjectMeta]]) -> Sequence[ObjectMeta]:
        async with self.calling("list"):
            try:  # not anext(keys, ()): it does not accept obstore's awaitables (CPython 3.11)
                return await anext(keys)
            except StopAsyncIteration:
                return ()

    async def _remove(self, keys: Sequence[str]) -> None:
        async with self.calling("delete"):
            await obstore.delete_async(self.vendor, keys)


class ObjectReader:
    """One version of one object, identified by its entity tag."""

    def __init__(self, store: ObjectStore, key: str, stat: Stat, etag: str | None) -> None:
        self.stat = stat
        self._store = store
        self._key = key
        self._etag = etag

    async def chunks(self, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        if not length:
            return
        options: GetOptions = {"if_match": self._etag}
        if length < self.stat.size:  # some servers answer a range that covers the whole object without a range
            options["range"] = (offset, offset + length)
        async with self._store.calling("read"):
            found = await obstore.get_async(self._store.vendor, self._key, options=options)
        stream = found.stream(min_chunk_size=CHUNK // 2)
        while length:
            async with self._store.calling("read"):
                try:
                    data = bytes(await anext(stream))
                except StopAsyncIteration:
                    raise OSError("the object has become shorter") from None
            length -= len(data)
            for start in range(0, len(data), CHUNK):
                yield data[start : start + CHUNK]

    slices = chunks

    async def aclose(self) -> None: ...


def _parents(key: str) -> Iterator[str]:
    while "/" in key:
        key = key.rpartition("/")[0]
        yield key
