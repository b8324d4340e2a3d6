"""Whether a stored file is the one that was recorded: a file that does not fit its record is not served.

Theory of operation
===================

An upload's size and SHA-256 are recorded with it (``ledger``). Whoever can write to the disk or the bucket can change
the file afterwards, and so can a failing disk. So a file is compared with its record when it is read:

1. Its size and time, when it is opened. Both may also differ for a moment while the file is being replaced, or
   longer where that was interrupted. So a difference counts only if it is still there after the transactions that were
   changing the record have ended, and after what was interrupted has been settled (``settling``). Another size is
   damage. Another time alone is not: files lose it when a store is copied.
2. Its digest, when it is read as a whole for the first time. The bytes are hashed while they are sent, and the last
   piece is held back until the digest fits. A part of a file says nothing about the digest, so before a range is sent
   the whole file is read; a large file whose size and time fit is read meanwhile.

What fits is remembered under ``Stat.version``, which a change of the file changes too: from then on it is served as if
it had no digest, with ``sendfile``. What does not fit is remembered there as well, and in the ledger, for the other
processes, for ``/ready`` and ``/metrics``: it is refused before anything is read.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass

from cachetools import LRUCache

from hokusai import errors
from hokusai.artifacts.ledger import Ledger
from hokusai.artifacts.path import Place
from hokusai.artifacts.record import Record
from hokusai.artifacts.settling import Settling
from hokusai.artifacts.store import ArtifactStore, Piece, Reader, Stat

log = logging.getLogger("hokusai.artifacts")

#: Versions of files that are remembered as good, and as damaged.
_REMEMBERED = 16_384
#: How often a file may be replaced while it is being opened.
_ATTEMPTS = 8
#: Bytes. A larger file whose size and time fit is compared while a range of it is sent, not before.
_AT_ONCE = 64 << 20
#: Seconds that a request for a range waits for the comparison, which goes on after that.
_PATIENCE = 20.0
#: Files that are compared in the background at a time.
_READERS = 2
#: Bytes. Smaller pieces are hashed sooner than handed to a thread.
_INLINE = 64 << 10


@dataclass(frozen=True, slots=True)
class Examined:
    """An open file. ``record`` is None for one that was never recorded; ``proven``: all of it fits its record."""

    place: Place
    reader: Reader
    record: Record | None
    proven: bool

    @property
    def sha256(self) -> str | None:
        return self.record.sha256 if self.record else None


class Integrity:
    """Opens files for reading. ``on_refusal`` is called for each read that is refused because of damage."""

    def __init__(
        self,
        store: ArtifactStore,
        ledger: Ledger,
        settling: Settling,
        *,
        on_refusal: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._settling = settling
        self._on_refusal = on_refusal
        self._good: LRUCache[tuple[str, str, str], None] = LRUCache(_REMEMBERED)
        self._bad: LRUCache[tuple[str, str, str], None] = LRUCache(_REMEMBERED)
        self._comparisons: dict[tuple[str, str, str], asyncio.Task[None]] = {}
        self._readers = asyncio.Semaphore(_READERS)

    async def open(self, place: Place) -> Examined | None:
        """The file, for reading; None where there is none. Close its reader.

        Raises ``errors.ArtifactDamaged``, and ``ArtifactUnproven`` where it is replaced all the time.
        """
        for _ in range(_ATTEMPTS):
            if not (reader := await self._store.open(place.key)):
                return None
            try:
                record, settled = await self._record(place, reader.stat)
                if settled:
                    proven = record is None or await self._proven(place, reader.stat, record)
                    return Examined(place, reader, record, proven)
            except BaseException:
                await reader.aclose()
                raise
            await reader.aclose()
        raise errors.ArtifactUnproven()

    async def digest(self, place: Place, stat: Stat) -> str | None:
        """The recorded digest of a file, where nothing is known against it. Raises as ``open`` does."""
        record, settled = await self._record(place, stat)
        if record is None or not settled:
            return None
        proven = await self._proven(place, stat, record)
        return record.sha256 if proven or record.describes(stat) else None

    async def prove(self, file: Examined) -> None:
        """Compare the whole file before a part of it is sent. Raises ``ArtifactDamaged`` or ``ArtifactUnproven``."""
        if file.proven or file.record is None:
            return
        known = _known(file.place, file.reader.stat, file.record)
        if not (task := self._comparisons.get(known)):
            comparing = self._compare(file.place, file.reader.stat, file.record)
            task = self._comparisons[known] = asyncio.create_task(comparing, name="compare a file with its record")
            task.add_done_callback(lambda _: self._comparisons.pop(known, None))
        fits = file.record.describes(file.reader.stat)
        if fits and file.reader.stat.size > _AT_ONCE:
            task.add_done_callback(_retrieve)
            return
        done, _ = await asyncio.wait({task}, timeout=_PATIENCE)
        if done:
            task.result()
        elif not fits:
            task.add_done_callback(_retrieve)
            raise errors.ArtifactUnproven()

    async def checked(self, file: Examined) -> AsyncGenerator[Piece, None]:
        """The whole file. Raises ``ArtifactDamaged`` in place of its last piece where the digest does not fit."""
        stat, record = file.reader.stat, file.record
        assert record is not None
        found = hashlib.sha256()
        held: Piece | None = None
        async with aclosing(file.reader.chunks(0, stat.size)) as pieces:
            async for piece in pieces:
                if held is not None:
                    yield held
                held = piece
                await _update(found, piece)
        await self._judge(file.place, stat, record, found.hexdigest())
        if held is not None:
            yield held

    async def close(self) -> None:
        """Ends the comparisons that are going on."""
        tasks = list(self._comparisons.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _record(self, place: Place, stat: Stat) -> tuple[Record | None, bool]:
        """The record, and whether it is certain that it is of this file or that the file does not fit it."""
        record = await self._ledger.find(place)
        if record is None:
            return None, not await self._settling.settle(place, None)
        if record.describes(stat) or self._is_known(place, stat, record):
            return record, True
        record = await self._ledger.find_committed(place)
        if record is None or record.describes(stat):
            return record, True
        if await self._settling.settle(place, record):
            return record, False
        now = await self._store.stat(place.key)
        return record, now is not None and now.version == stat.version

    def _is_known(self, place: Place, stat: Stat, record: Record) -> bool:
        known = _known(place, stat, record)
        return known in self._good or known in self._bad or record.damaged == stat.version

    async def _proven(self, place: Place, stat: Stat, record: Record) -> bool:
        """Whether the whole file was compared. Raises ``errors.ArtifactDamaged`` for what is known to be damaged."""
        known = _known(place, stat, record)
        if known in self._good:
            return True
        if stat.size != record.size:
            await self._damaged(place, stat, record, "size")
        if known in self._bad or record.damaged == stat.version:
            self._on_refusal()
            raise errors.ArtifactDamaged(fact="digest")
        return False

    async def _judge(self, place: Place, stat: Stat, record: Record, sha256: str) -> None:
        if sha256 != record.sha256:
            await self._damaged(place, stat, record, "digest")
        self._good[_known(place, stat, record)] = None
        if record.damaged is not None:
            log.warning("the file %s of workspace %s fits its record again", place.path, place.workspace)
            with suppress(errors.HokusaiError):  # then it is noted after the next start
                await self._ledger.note_damage(place, record, None)

    async def _damaged(self, place: Place, stat: Stat, record: Record, fact: str) -> None:
        """Note it, the first time, and raise ``errors.ArtifactDamaged``."""
        known = _known(place, stat, record)
        if known not in self._bad:
            self._bad[known] = None
            log.error(
                "the file %s of workspace %s is not the one that was uploaded: its %s does not fit the record"
                " (SHA-256 %s, %d bytes): downloads of it are refused",
                *(place.path, place.workspace, fact, record.sha256, record.size),
            )
            with suppress(errors.HokusaiError):  # a database that is read-only; this process remembers it all the same
                await self._ledger.note_damage(place, record, stat.version)
        self._on_refusal()
        raise errors.ArtifactDamaged(fact=fact)

    async def _compare(self, place: Place, stat: Stat, record: Record) -> None:
        async with self._readers:
            if not (reader := await self._store.open(place.key)):
                raise errors.ArtifactUnproven()
            async with aclosing(reader):
                if reader.stat.version != stat.version:
                    raise errors.ArtifactUnproven()
                found = await sha256_of(reader)
            await self._judge(place, stat, record, found)


async def sha256_of(reader: Reader) -> str:
    """The digest of a whole open file, in hexadecimal."""
    found = hashlib.sha256()
    async with aclosing(reader.chunks(0, reader.stat.size)) as pieces:
        async for piece in pieces:
            await _update(found, piece)
    return found.hexdigest()


def _known(place: Place, stat: Stat, record: Record) -> tuple[str, str, str]:
    return place.key, stat.version, record.sha256


async def _update(digest: hashlib._Hash, piece: Piece) -> None:
    if len(piece) > _INLINE:
        await asyncio.to_thread(digest.update, piece)
    else:
        digest.update(piece)


def _retrieve(task: asyncio.Task[None]) -> None:
    """Nobody waits for it: what it found is noted already."""
    if not task.cancelled():
        task.exception()
