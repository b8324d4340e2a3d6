"""Ledger and store, compared: what does not fit, by kind, and its repair. The server may be running.

Theory of operation
===================

Both sides are read in the order of paths, a page at a time, and joined like two sorted files: memory does not grow
with what is stored. They are not read at the same moment, so a difference is only a suspicion. Each one is looked at
again (``recheck``) while nobody changes that place, and becomes a finding if it is still there. What is wrong with the
order of one side costs time, not findings.

What a request is doing right now is not a finding. What an interrupted one left is one, if it is still there a moment
later: a running server settles most of it by itself (``settling``).

A repair happens in the transaction that looks: it repairs what it saw, or nothing. Bytes are not repaired: a file that
does not fit its record is reported, and noted in the ledger, so that it is refused to readers (``integrity``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Generic, TypeVar

from hokusai import errors
from hokusai.artifacts.integrity import sha256_of
from hokusai.artifacts.ledger import Ledger
from hokusai.artifacts.path import MAX_BYTES, WORKSPACES, ArtifactPath, Place
from hokusai.artifacts.recheck import State, recheck, recount
from hokusai.artifacts.record import Record
from hokusai.artifacts.settling import Settling, Unsettled
from hokusai.artifacts.store import ArtifactStore, Entry, Written
from hokusai.database import Database
from hokusai.identity import WORKSPACE_NAME

T = TypeVar("T")

#: Records in a page. Ordering them costs PostgreSQL a look at all of a workspace's records for each page.
_RECORDS = 10_000
#: Seconds after which what is interrupted is looked at again, and between two rounds that settle it.
_MOMENT, _PAUSE = 1.0, 0.5


class Kind(StrEnum):
    """What does not fit."""

    UNRECORDED = "unrecorded"
    MISSING = "missing"
    SIZE = "size"
    DIGEST = "digest"
    USE = "use"
    INTERRUPTED = "interrupted"
    EMPTY = "empty"
    NAME = "name"


#: What can be put right. Lost bytes cannot be, and a file that no request can name is nobody's.
REPAIRABLE = frozenset(Kind) - {Kind.SIZE, Kind.DIGEST, Kind.NAME}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not fit. ``workspace`` and ``path`` are empty where nothing tells them."""

    kind: Kind
    workspace: str
    path: str
    detail: str = ""
    repaired: bool = False


@dataclass(slots=True)
class Progress:
    """What was compared so far."""

    workspaces: int = 0
    files: int = 0
    records: int = 0


async def _go_on() -> None: ...


class Reconciliation:
    """One comparison. The kinds in ``repair`` are put right; with ``digests``, every file is read.

    ``between`` is awaited between two pages: it may take its time. What is interrupted is a finding if it is still
    there after ``moment`` seconds.
    """

    def __init__(
        self,
        store: ArtifactStore,
        database: Database,
        *,
        repair: Collection[Kind] = (),
        digests: bool = False,
        between: Callable[[], Awaitable[None]] = _go_on,
        moment: float | None = None,
    ) -> None:
        self.progress = Progress()
        self._store = store
        self._database = database
        self._repair = repair
        self._digests = digests
        self._between = between
        self._moment = _MOMENT if moment is None else moment
        self._ledger = Ledger(database)
        self._recheck = recheck(store, self._ledger, database)
        self._settling = Settling(store, self._ledger)

    async def findings(self, workspace: str | None = None) -> AsyncGenerator[Finding, None]:
        """Everything that does not fit; in one workspace, or in all.

        Raises ``errors.Unavailable``, and ``errors.StoreWithoutFiles`` before it repairs anything.
        """
        await self._refuse_without_files()
        for part in (self._interrupted(workspace), self._compared(workspace)):
            async with aclosing(part) as found:
                async for finding in found:
                    yield finding

    async def _refuse_without_files(self) -> None:
        """A disk that is not mounted has no file; deleting all records would lose what is known of its files."""
        if Kind.MISSING not in self._repair or not (recorded := await self._ledger.count()):
            return
        async with aclosing(self._store.walk(WORKSPACES)) as pages:
            async for page in pages:
                if any(entry.size is not None for entry in page):
                    return
        raise errors.StoreWithoutFiles(count=recorded)

    async def _interrupted(self, workspace: str | None) -> AsyncGenerator[Finding, None]:
        found = await self._unsettled(workspace)
        if found:
            await asyncio.sleep(self._moment)
            later = await self._unsettled(workspace)
            found = {key: one for key, one in later.items() if key in found}
        left = found
        if found and Kind.INTERRUPTED in self._repair:
            await self._settling.settle_all(pause=_PAUSE)
            left = await self._unsettled(workspace)
        for key, one in found.items():
            where = one.place or Place("", "", "")
            path = where.path or ("" if one.place else one.id)
            yield Finding(Kind.INTERRUPTED, where.workspace, path, one.what, repaired=key not in left)

    async def _unsettled(self, workspace: str | None) -> dict[str, Unsettled]:
        found = await self._settling.unsettled()
        return {one.id: one for one in found if workspace is None or (one.place and one.place.workspace == workspace)}

    async def _compared(self, workspace: str | None) -> AsyncGenerator[Finding, None]:
        names = {workspace} if workspace else {*await self._ledger.workspaces()}
        if workspace is None:
            async with aclosing(self._store.list(WORKSPACES)) as pages:
                async for page in pages:
                    names |= {entry.name for entry in page if entry.size is None}
                    for entry in page:
                        if entry.size is not None:
                            yield Finding(Kind.NAME, "", f"{WORKSPACES}/{entry.name}", "it is not in a workspace")
        for name in sorted(names):
            self.progress.workspaces += 1
            async with aclosing(self._compared_in(name)) as found:
                async for finding in found:
                    yield finding

    async def _compared_in(self, workspace: str) -> AsyncGenerator[Finding, None]:
        root = Place("", workspace, "")
        async with (
            aclosing(self._files(root)) as files,
            aclosing(self._records(root)) as records,
            aclosing(_joined(files, records)) as both,
        ):
            async for path, entry, record in both:
                if self._is_suspicious(entry, record):
                    for finding in await self._compared_at(Place(path, workspace, path), entry, record):
                        yield finding
        if found := await recount(self._database, workspace, repair=Kind.USE in self._repair):
            yield Finding(Kind.USE, workspace, "", str(found), repaired=Kind.USE in self._repair)

    async def _files(self, root: Place) -> AsyncGenerator[Sequence[tuple[str, Entry]], None]:
        async with aclosing(self._store.walk(root.key)) as pages:
            async for page in pages:
                self.progress.files += sum(entry.size is not None for entry in page)
                yield [(entry.name[len(root.key) + 1 :], entry) for entry in page]
                await self._between()

    async def _records(self, root: Place) -> AsyncGenerator[Sequence[tuple[str, Record]], None]:
        after = ""
        while page := await self._ledger.below(root, after=after, limit=_RECORDS, wait=False):
            after = page[-1][0].path
            self.progress.records += len(page)
            yield [(place.path, record) for place, record in page]
            await self._between()

    async def _compared_at(self, place: Place, entry: Entry | None, record: Record | None) -> list[Finding]:
        found = []
        if entry is not None and entry.size is None:
            found.append(await self._empty(place))
        if record is not None or not found:
            found.append(await self._examined(place))
        return [one for one in found if one]

    def _is_suspicious(self, entry: Entry | None, record: Record | None) -> bool:
        if entry is None or record is None:
            return True
        return self._digests or record.damaged is not None or entry.size != record.size

    async def _examined(self, place: Place) -> Finding | None:
        state = await self._recheck.look(place)
        if state is None or (state.stat is None and state.record is None):
            return None
        if state.record is None:
            return await self._unrecorded(place, state)
        if state.stat is None:
            return await self._missing(place, state.record)
        return await self._damaged(place, state)

    async def _unrecorded(self, place: Place, state: State) -> Finding | None:
        assert state.stat is not None
        if reason := _unusable(place):
            return Finding(Kind.NAME, place.workspace, place.path, reason)
        found = Finding(Kind.UNRECORDED, place.workspace, place.path, f"{state.stat.size:,} bytes")
        if Kind.UNRECORDED not in self._repair:
            return found
        read = await self._read(place)
        is_repaired = read is not None and await self._recheck.add(place, *read)
        return await self._repaired(place, found, is_repaired)

    async def _missing(self, place: Place, record: Record) -> Finding | None:
        found = Finding(Kind.MISSING, place.workspace, place.path, f"{record.size:,} bytes, SHA-256 {record.sha256}")
        if Kind.MISSING not in self._repair:
            return found
        return await self._repaired(place, found, await self._recheck.forget(place, record))

    async def _repaired(self, place: Place, found: Finding, is_repaired: bool) -> Finding | None:
        """What could not be repaired because a request changed the place meanwhile is a finding if it still is one."""
        if is_repaired:
            return replace(found, repaired=True)
        state = await self._recheck.look(place)
        if state is None or (state.record is None) == (state.stat is None):
            return None
        return found

    async def _damaged(self, place: Place, state: State) -> Finding | None:
        """Known damage of the same version of the file is taken for granted, unless files are read."""
        record, stat = state.record, state.stat
        assert record is not None
        assert stat is not None
        if stat.size != record.size:
            await self._note(place, record, stat.version)
            detail = f"{stat.size:,} bytes are stored, {record.size:,} are recorded"
            return Finding(Kind.SIZE, place.workspace, place.path, detail)
        if not self._digests:
            is_known = record.damaged == stat.version
            return Finding(Kind.DIGEST, place.workspace, place.path, "found before") if is_known else None
        return await self._digest(place, record)

    async def _digest(self, place: Place, record: Record) -> Finding | None:
        read = await self._read(place)
        if read is None:
            return None
        written, version = read
        if written.sha256 == record.sha256:
            await self._note(place, record, None)
            return None
        state = await self._recheck.look(place)
        if state is None or not state.is_of(record, version):
            return None
        await self._note(place, record, version)
        detail = f"SHA-256 {written.sha256} is stored, {record.sha256} is recorded"
        return Finding(Kind.DIGEST, place.workspace, place.path, detail)

    async def _read(self, place: Place) -> tuple[Written, str] | None:
        """What is stored, and which version of it. None where it is gone, or was replaced while it was read."""
        if not (reader := await self._store.open(place.key)):
            return None
        version = reader.stat.version
        try:
            async with aclosing(reader):
                return Written(reader.stat.size, await sha256_of(reader), reader.stat.created), version
        except errors.Unavailable:
            stat = await self._store.stat(place.key)
            if stat is not None and stat.version == version:
                raise
            return None

    async def _note(self, place: Place, record: Record, version: str | None) -> None:
        """With repairs, in the ledger, where it is not noted yet."""
        if self._repair and record.damaged != version:
            await self._ledger.note_damage(place, record, version)

    async def _empty(self, directory: Place) -> Finding | None:
        remove = Kind.EMPTY in self._repair
        is_empty = await self._recheck.is_empty(directory, remove=remove)
        found = Finding(Kind.EMPTY, directory.workspace, directory.path, repaired=is_empty is None)
        return None if is_empty is False else found


class _Stream(Generic[T]):
    """The items of a stream of pages, one at a time."""

    def __init__(self, pages: AsyncGenerator[Sequence[T], None]) -> None:
        self._pages = pages
        self._page: Sequence[T] = ()
        self._at = 0

    async def next(self) -> T | None:
        while self._at == len(self._page):
            page = await anext(self._pages, None)
            if page is None:
                return None
            self._page, self._at = page, 0
        self._at += 1
        return self._page[self._at - 1]


async def _joined(
    files: AsyncGenerator[Sequence[tuple[str, Entry]], None],
    records: AsyncGenerator[Sequence[tuple[str, Record]], None],
) -> AsyncGenerator[tuple[str, Entry | None, Record | None], None]:
    """Every path of both, with what each of them has there."""
    left, right = _Stream(files), _Stream(records)
    file, record = await left.next(), await right.next()
    while file or record:
        if file and (record is None or file[0] < record[0]):
            yield file[0], file[1], None
            file = await left.next()
        elif record and (file is None or record[0] < file[0]):
            yield record[0], None, record[1]
            record = await right.next()
        elif file and record:
            yield file[0], file[1], record[1]
            file, record = await left.next(), await right.next()


def _unusable(place: Place) -> str | None:
    """Why no request can name this file."""
    if not WORKSPACE_NAME.fullmatch(place.workspace):
        return "no workspace can have this name"
    if len(place.key.encode()) > MAX_BYTES:
        return "its path is too long"
    path = ArtifactPath.read(place.path)
    return path.reason if isinstance(path, errors.ArtifactPathInvalid) else None
