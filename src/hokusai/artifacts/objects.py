"""Artifacts in an object store that obstore can reach: memory now."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime

import obstore
from obstore import exceptions
from obstore.store import MemoryStore

from hokusai import errors
from hokusai.artifacts.store import CHUNK, PAGE, Entry, Stat, Written

log = logging.getLogger("hokusai.artifacts")

#: The attribute that ties an object to its record: an object store's own clock is not ours to set.
_CREATED = "hokusai-created"


class ObjectStore:
    """Objects in a flat namespace that behaves as a tree: a directory is there while something is in it.

    An upload is held in memory until ``commit``: a store that is memory anyway loses nothing by it.
    Each call has ``seconds``.
    """

    def __init__(self, store: MemoryStore, *, seconds: float = 60) -> None:
        self._store = store
        self._seconds = seconds
        self._landing = asyncio.Lock()

    @asynccontextmanager
    async def upload(self, key: str) -> AsyncIterator[ObjectUpload]:
        async with self._calling("write"):
            await self._refuse_taken(key)
        yield ObjectUpload(self, key)

    async def open(self, key: str) -> ObjectReader | None:
        async with self._calling("read"):
            if (found := await self._head(key)) is None:
                return None
        return ObjectReader(self, key, *found)

    async def stat(self, key: str) -> Stat | None:
        async with self._calling("read"):
            found = await self._head(key)
        return found[0] if found else None

    async def list(self, directory: str) -> AsyncGenerator[Sequence[Entry], None]:
        async with self._calling("list"):
            found = await obstore.list_with_delimiter_async(self._store, directory or None)
        names = [Entry(_name(path), None) for path in found["common_prefixes"]]
        names += [Entry(_name(one["path"]), one["size"]) for one in found["objects"]]
        for start in range(0, len(names), PAGE):
            yield names[start : start + PAGE]

    async def delete(self, key: str) -> bool:
        async with self._calling("delete"), self._landing:
            doomed = [one["path"] async for page in obstore.list(self._store, key) for one in page]
            if await self._head(key):
                doomed.append(key)
            await obstore.delete_async(self._store, doomed)
        return bool(doomed)

    async def start(self) -> None: ...

    async def check(self) -> None:
        async with self._calling("read"):
            await self._head("workspaces")

    async def sweep(self) -> int:
        return 0

    async def close(self) -> None: ...

    async def put(self, key: str, data: bytes, created: datetime) -> None:
        async with self._calling("write"), self._landing:
            await self._refuse_taken(key)
            await obstore.put_async(self._store, key, data, attributes={_CREATED: created.isoformat()})

    async def get(self, key: str, etag: str | None, offset: int, length: int) -> bytes:
        async with self._calling("read"):
            part = (offset, offset + length)
            result = await obstore.get_async(self._store, key, options={"range": part, "if_match": etag})
            return bytes(await result.bytes_async())

    async def _head(self, key: str) -> tuple[Stat, str | None] | None:
        try:
            found = await obstore.get_async(self._store, key, options={"head": True})
        except FileNotFoundError:
            return None
        told = found.attributes.get(_CREATED)
        created = datetime.fromisoformat(told) if told else found.meta["last_modified"]
        return Stat(found.meta["size"], created), found.meta["e_tag"]

    async def _refuse_taken(self, key: str) -> None:
        async for page in obstore.list(self._store, key, chunk_size=1):
            if page:
                raise errors.ArtifactPathTaken(reason="a directory has this name")
        for parent in _parents(key):
            if await self._head(parent):
                raise errors.ArtifactPathTaken(reason="a file has the name of a parent")

    @asynccontextmanager
    async def _calling(self, action: str) -> AsyncIterator[None]:
        with _translating(action):
            async with asyncio.timeout(self._seconds):
                yield


class ObjectUpload:
    """One upload, in memory until it is put."""

    def __init__(self, store: ObjectStore, key: str) -> None:
        self._store = store
        self._key = key
        self._data = bytearray()
        self._created = datetime.now(UTC)

    async def write(self, data: Sequence[bytes]) -> None:
        self._data += b"".join(data)

    async def finish(self) -> Written:
        digest = await asyncio.to_thread(hashlib.sha256, self._data)
        self._created = datetime.now(UTC)
        return Written(len(self._data), digest.hexdigest(), self._created)

    async def commit(self) -> None:
        await self._store.put(self._key, bytes(self._data), self._created)


class ObjectReader:
    """One version of one object, told by its entity tag."""

    def __init__(self, store: ObjectStore, key: str, stat: Stat, etag: str | None) -> None:
        self.stat = stat
        self._store = store
        self._key = key
        self._etag = etag

    async def chunks(self, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        end = offset + length
        for start in range(offset, end, CHUNK):
            yield await self._store.get(self._key, self._etag, start, min(CHUNK, end - start))

    async def aclose(self) -> None: ...


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _parents(key: str) -> Iterator[str]:
    while "/" in key:
        key = key.rpartition("/")[0]
        yield key


@contextmanager
def _translating(action: str) -> Iterator[None]:
    try:
        yield
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        _note(action, error)
        raise errors.ArtifactStoreDenied(action=action) from error
    except (exceptions.BaseError, OSError) as error:
        _note(action, error)
        raise errors.ArtifactStoreDown() from error


def _note(action: str, error: Exception) -> None:
    log.error("the artifact store failed (%s): %r", action, error)
