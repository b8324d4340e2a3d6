"""The contract between the artifact service and what keeps its files.

A driver knows keys (``workspaces/W/…``, relative, ``/`` between the names, canonical) and bytes,
nothing of HTTP or tenants. It turns its vendor's errors into ours at its own edge (HK4004 to HK4018
in ``errors.py``; every wait has an end). What is not there is a value, ``None`` or ``False``. No
message names a host, bucket or file.

``tests/artifacts/stores/test_store.py`` is the conformance suite; a new driver adds one constructor there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

#: A reader's pieces, and what an upload gathers before it is written, in bytes.
CHUNK = 1 << 20

#: Bytes of a file that a server is told to send at once.
STRETCH = 4 << 20

#: Bytes on their way. A view's are the receiver's until it drops the view.
Piece = bytes | memoryview

#: Entries in one page of a listing.
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Stretch:
    """``length`` bytes of an open file from ``offset`` on, for a server that sends them without reading them."""

    file: int
    offset: int
    length: int

    def __len__(self) -> int:
        return self.length


@dataclass(frozen=True, slots=True)
class Stat:
    """One stored file. ``created``, to the microsecond, is the one its ``Written`` told."""

    size: int
    created: datetime


@dataclass(frozen=True, slots=True)
class Written:
    """An upload's bytes, taken and not yet visible. ``sha256`` is in hexadecimal.

    ``created`` tells this upload from any other of its key: together with the size it is what a record
    and its file know each other by. It may be the moment the upload began.
    """

    size: int
    sha256: str
    created: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a listing: a file with its size in bytes, or a directory (``size`` is None)."""

    name: str
    size: int | None


class StagedFile(Protocol):
    """What is left of an upload, on the caller's thread. All of it raises as ``Upload`` does; the order is this."""

    def begin(self) -> None:
        """Write what is not written yet, without waiting for the disk."""

    def finish(self) -> Written:
        """As ``Upload.finish``. Doing it again changes nothing."""

    def appear(self) -> None:
        """As ``Upload.commit``, in no longer than a rename. Doing it again changes nothing."""

    def settle(self, synced: set[bytes]) -> None:
        """Make the name as safe as the bytes, and let go; but for directories in ``synced``, which these join."""


class Upload(Protocol):
    """A file on its way in. What was there before stays as it is until ``commit``."""

    async def write(self, data: Sequence[Piece]) -> None:
        """Append. May return while the bytes are still on their way; the next call waits for them."""

    async def finish(self) -> Written:
        """Wait until every byte is safe, but for what ``commit`` can send in a moment (8 MiB).

        Still invisible, and still to be dropped without a trace.
        """

    async def commit(self) -> None:
        """Let the file appear, at once and whole, in place of what was there.

        Raises ``errors.ArtifactPathTaken`` where a directory has the name, or a file that of a parent; an
        object store, which has no transactions, as of ``finish``. Over within 50 seconds.
        """

    async def stage(self) -> StagedFile | None:
        """Wait until what is left to do takes a moment, for somebody who does it for many files together.

        None where that is not how files land: then it is ``finish`` and ``commit``.
        """


class Reader(Protocol):
    """One version of one file: overwritten or deleted meanwhile, it still gives the same bytes, or fails."""

    stat: Stat

    def chunks(self, offset: int, length: int) -> AsyncGenerator[Piece, None]:
        """The bytes of a range inside the file, in pieces of ``CHUNK`` or less."""

    def stretches(self, offset: int, length: int) -> AsyncGenerator[Piece | Stretch, None]:
        """As ``chunks``, and stretches of the file where it is one and the range is large."""

    async def aclose(self) -> None: ...


class ArtifactStore(Protocol):
    """Where artifacts are kept. Implementations: ``LocalStore`` (POSIX) and ``ObjectStore`` (obstore)."""

    #: Whether ``delete`` takes no longer than a rename: then a database's lock may be held over it.
    deletes_at_once: bool

    def upload(self, key: str) -> AbstractAsyncContextManager[Upload]:
        """Take in one file. Leaving the block without ``commit`` aborts, and nothing remains.

        After ``commit``, the end of the block waits until the file's name is safe as well.
        """

    async def open(self, key: str) -> Reader | None: ...

    async def stat(self, key: str) -> Stat | None: ...

    def list(self, directory: str) -> AsyncGenerator[Sequence[Entry], None]:
        """What is directly in a directory, in pages, in no order. Nothing for a file or an unknown name."""

    async def delete(self, key: str) -> bool:
        """Remove a file, or a directory with all that is in it. False where there was neither.

        Where ``deletes_at_once``, the disk is freed a little later.
        """

    async def start(self) -> None:
        """Make the store usable and ``sweep`` it. Raises ``errors.ArtifactStoreUnusable``."""

    async def check(self) -> None:
        """Raises the error an upload would meet now; for ``/ready``."""

    async def sweep(self) -> int:
        """Remove what killed processes left, and nothing that a living one is using. Returns how many.

        A store that cannot tell what they left says how else it is removed.
        """

    async def close(self) -> None: ...
