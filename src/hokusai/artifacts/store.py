"""The contract between the artifact service and the storage that keeps its files.

A driver knows keys (``workspaces/W/…``, relative, ``/`` between the names, canonical) and bytes, and nothing
of HTTP or tenants. It translates its vendor's errors to ours (HK4004 to HK4018 in ``errors/artifacts.py``), and
every call ends within a bound. What does not exist is a value, ``None`` or ``False``. No message contains the
name of a host, bucket or file.

``tests/artifacts/stores/test_store.py`` is the conformance suite; a new driver adds one constructor there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

from hokusai import errors

#: The size of a reader's pieces, and of what an upload collects before it writes, in bytes.
CHUNK = 1 << 20

#: The most bytes of a file that a server is told to send with one message.
SLICE = 4 << 20

#: Bytes in transit. The memory under a view belongs to the receiver until it drops the view.
Piece = bytes | memoryview

#: Entries in one page of a listing.
PAGE = 1000


@dataclass(frozen=True, slots=True)
class FileSlice:
    """``length`` bytes of an open file from ``offset`` on, for a server that can send them without reading them."""

    file: int
    offset: int
    length: int

    def __len__(self) -> int:
        return self.length


@dataclass(frozen=True, slots=True)
class Stat:
    """A stored file. ``created`` equals, to the microsecond, that of its ``Written``.

    ``version`` is another one whenever the bytes may be others, even if size and time were put back.
    """

    size: int
    created: datetime
    version: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Written:
    """The result of an upload whose bytes are all stored and not yet visible. ``sha256`` is in hexadecimal.

    ``created`` is unique among the uploads of one key: a record and its file recognise each other by it and the
    size. It may be the time at which the upload began.
    """

    size: int
    sha256: str
    created: datetime

    def verify(self, claimed: Collection[str]) -> None:
        """Raises ``errors.DigestMismatch`` unless every digest that the client claims is that of its bytes."""
        if any(one != self.sha256 for one in claimed):
            raise errors.DigestMismatch(reason="does not match the bytes that arrived")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a listing: a file with its size in bytes, or a directory (``size`` is None)."""

    name: str
    size: int | None


@dataclass(frozen=True, slots=True)
class Look:
    """What has a key now. ``on_its_way``: a file of this key has a temporary name, or is in the trash."""

    stat: Stat | None
    on_its_way: bool


class StagedFile(Protocol):
    """The last steps of an upload, as blocking calls, so that one thread can take many files through each step.

    The calls come in this order. All of them raise as ``Upload`` does.
    """

    def flush(self) -> None:
        """Write what is still in memory, without waiting for the disk."""

    def finish(self) -> Written:
        """As ``Upload.finish``. May be called twice."""

    @property
    def name(self) -> str:
        """Under which ``Staging`` knows the file until it has its own name."""

    def prepare(self) -> None:
        """Do what can fail of ``commit``, so that it hardly can any more."""

    def commit(self) -> None:
        """As ``Upload.commit``, in no more time than a rename. May be called twice."""

    def sync_names(self, synced: set[bytes]) -> None:
        """Make the name as durable as the bytes, and close the file.

        Directories in ``synced`` are durable already and are skipped; those synced here are added to it.
        """

    def keep(self) -> None:
        """The upload may end now without ``discard``: whether the file is recorded is found out later."""

    def discard(self) -> None:
        """Remove the file, unless it has its own name, and close it."""


class Removal(Protocol):
    """What was removed and is not gone yet. Nobody sees it any more."""

    @property
    def name(self) -> str:
        """Of this removal, and of no other."""

    async def leave(self) -> None:
        """Leave it to the next who looks for what is abandoned."""

    async def key(self) -> str:
        """Of what was removed, or of a directory below it that has all its files. Empty: nothing is left."""

    async def stat(self, key: str) -> Stat | None:
        """A file in it, by the key that it had."""

    async def put_back(self) -> None:
        """Everything has its name again, except where another file has it now."""

    async def purge(self) -> None:
        """Free the space, a little later."""


NOTHING_UNFINISHED: Mapping[str, str] = MappingProxyType({})


class Staging(Protocol):
    """A store where files get and lose their names at once, and can be found under other names before and after.

    So the transaction in the ledger decides, and the file follows: an uploaded file gets its name after its record was
    committed, and a removed one comes back if its record was not. What a killed process leaves is found here.
    """

    async def settle(self, name: str, key: str) -> bool:
        """Give a recorded file its name. False where it has it already, or is gone."""

    def settle_now(self, name: str, key: str) -> bool:
        """``settle`` as a blocking call."""

    async def discard(self, name: str) -> None:
        """Remove a file that was not recorded."""

    async def abandoned(self) -> Sequence[str]:
        """Uploaded files that have no name of their own yet, and that no running process has."""

    async def remove(self, key: str, unfinished: Mapping[str, str] = NOTHING_UNFINISHED) -> Removal | None:
        """A file, or a directory with everything in it. None where neither exists.

        ``unfinished`` are the names of files in it, with their keys, that may be without their own names yet.
        """

    async def abandoned_removals(self) -> Sequence[Removal]:
        """Those that no running process has."""

    def look_now(self, key: str, staged: str | None) -> Look:
        """What has this key, and whether the file with the temporary name ``staged`` is about to have it. Blocks."""

    def is_empty_now(self, directory: str) -> bool:
        """Whether a directory exists and has nothing in it, not even what a listing hides. Blocks."""

    def remove_empty_now(self, directory: str) -> bool:
        """Remove a directory, and those above it, that have nothing in them. False where it is still there. Blocks."""


class Upload(Protocol):
    """A file that is being uploaded. An older file of that name stays as it is until ``commit``."""

    async def write(self, data: Sequence[Piece]) -> None:
        """Append. May return before the bytes are written; the next call waits for that."""

    async def finish(self) -> Written:
        """Wait until every byte is durable, except for up to 8 MiB that ``commit`` may send.

        The file is still invisible, and leaves no trace if it is aborted now.
        """

    async def commit(self) -> None:
        """Make the file visible, whole and at once, in place of an older one.

        Raises ``errors.ArtifactPathTaken`` where a directory has the name, or a file has the name of a parent.
        An object store, which has no transactions, detects only conflicts that existed at ``finish``. Takes at most 50
        seconds.
        """

    async def stage(self) -> StagedFile | None:
        """In place of ``finish`` and ``commit``: wait until only short steps are left, and return these.

        None where a commit takes long (an object store): call ``finish`` and ``commit`` then.
        """


class Reader(Protocol):
    """One version of one file. If it is overwritten or deleted meanwhile, the same bytes follow, or an error."""

    stat: Stat

    def chunks(self, offset: int, length: int) -> AsyncGenerator[Piece, None]:
        """The bytes of a range inside the file, in pieces of at most ``CHUNK``."""

    def slices(self, offset: int, length: int) -> AsyncGenerator[Piece | FileSlice, None]:
        """As ``chunks``, but large ranges of a local file come as slices of it."""

    async def aclose(self) -> None: ...


class ArtifactStore(Protocol):
    """Storage for artifacts. Implementations: ``LocalStore`` (a POSIX directory) and ``ObjectStore`` (obstore)."""

    @property
    def staging(self) -> Staging | None:
        """None for a store in which names take time, and a removed file is gone (an object store)."""

    def upload(self, key: str) -> AbstractAsyncContextManager[Upload]:
        """Receive one file. Leaving the block without ``commit`` aborts the upload, and nothing remains of it.

        After ``commit``, the end of the block waits until the file's name is durable too.
        """

    async def open(self, key: str) -> Reader | None: ...

    async def stat(self, key: str) -> Stat | None: ...

    def list(self, directory: str) -> AsyncGenerator[Sequence[Entry], None]:
        """What is directly in a directory, in pages, in no order. Nothing for a file or an unknown name."""

    def walk(self, directory: str) -> AsyncGenerator[Sequence[Entry], None]:
        """All files below a directory, in pages, in the order of the bytes of their keys, which are the names here.

        In constant memory. A directory with nothing in it is an entry without a size, where the store has such.
        """

    async def delete(self, key: str) -> bool:
        """Remove a file, or a directory with everything in it. False where neither exists.

        Where the store has a ``staging``, the disk space is freed a little later.
        """

    async def start(self) -> None:
        """Prepare the store. Raises ``errors.ArtifactStoreUnusable``."""

    async def check(self) -> None:
        """Raises the error that an upload would get now. For ``/ready``."""

    async def close(self) -> None: ...
