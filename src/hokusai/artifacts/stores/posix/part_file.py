"""A file that is being uploaded to a POSIX file system. Everything here blocks; ``upload.py`` runs it on threads."""

# Paths are bytes, so that file names do not depend on the process's locale; pathlib does not support bytes.
# ruff: noqa: PTH104, PTH108, PTH112, PTH118, PTH119, PTH120

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import stat
import threading
import time
from collections.abc import Iterator, Sequence

from hokusai import disk
from hokusai.artifacts.store import Piece, Written
from hokusai.artifacts.stores.posix.layout import NOTHING, Layout, prune
from hokusai.artifacts.stores.posix.open_file import created

#: Bytes between two syncs: the disk writes while more arrives, and ``finish`` has little left to wait for.
SYNC = 32 << 20

#: Directories may disappear during ``commit``, while another request deletes them.
_ATTEMPTS = 16


class PartFile:
    """One upload: a file under a temporary name, until ``commit`` renames it.

    ``write``, ``hash`` and ``sync`` may run at the same time, but no two calls of the same one. The locks are for a
    thread that is still writing when its request has ended: the descriptor's number must not be closed, and used for
    another file, under it.
    """

    def __init__(self, layout: Layout, key: str) -> None:
        self._layout = layout
        self._key = key
        self._target = layout.of(key)
        self._path = b""
        self._descriptor: int | None = None
        self._unsynced: set[bytes] = set()
        self._sha256 = hashlib.sha256()
        self._written: Written | None = None
        self.size = 0
        self._done = False
        self._lock = threading.Lock()
        self._sync_lock = threading.Lock()

    def write(self, data: Sequence[Piece]) -> None:
        with self._open() as descriptor:
            for piece in data:
                self.size += len(piece)
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]

    def hash(self, data: Sequence[Piece]) -> None:
        for piece in data:
            self._sha256.update(piece)

    def sync(self) -> None:
        """Wait until everything written so far is on the disk."""
        with self._sync_lock:
            if self._descriptor is not None:
                os.fdatasync(self._descriptor)

    @property
    def name(self) -> str:
        """Its temporary name, after ``finish``."""
        return os.path.basename(self._path).decode()

    def finish(self) -> Written:
        """After the last ``write``: make the whole file durable. May be called twice."""
        with self._open() as descriptor:
            if self._written is None:
                now = time.time_ns() // 1000 * 1000
                os.utime(descriptor, ns=(now, now))
                os.fsync(descriptor)
                self._written = Written(self.size, self._sha256.hexdigest(), created(os.fstat(descriptor)))
            return self._written

    def prepare(self) -> None:
        """Make the directories for its name. Raises what ``commit`` would raise."""
        with self._open():
            self._refuse_directory()
            if not os.path.isdir(os.path.dirname(self._target)):
                self._make_parents()

    def commit(self) -> None:
        """Give the file its own name, unless another process has done that. May be called twice."""
        with self._open():
            if not self._path:
                return
            for attempt in range(_ATTEMPTS):
                try:
                    os.rename(self._path, self._target)
                    break
                except FileNotFoundError:
                    if not os.path.lexists(self._path):
                        break
                    if attempt == _ATTEMPTS - 1:
                        raise
                    self._make_parents()
            self._path = b""
            self._unsynced.add(os.path.dirname(self._target))

    def sync_names(self, synced: set[bytes]) -> None:
        """Sync the directories that got a new name, except those in ``synced``, add them to it, and close the file."""
        for directory in self._unsynced - synced:
            with contextlib.suppress(*NOTHING):
                disk.sync(directory)
        synced |= self._unsynced
        self.discard()

    def discard(self) -> None:
        """Close the file; before ``commit``, remove it too. Allowed at any time, and twice."""
        with self._lock, self._sync_lock:
            self._done = True
            if self._path:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path)
                self._path = b""
                if self._unsynced:
                    prune(os.path.dirname(self._target), self._layout.root)
            if self._descriptor is not None:
                descriptor, self._descriptor = self._descriptor, None
                os.close(descriptor)

    @contextlib.contextmanager
    def _open(self) -> Iterator[int]:
        """Raises ``IsADirectoryError`` or ``NotADirectoryError`` where the file could never get its name."""
        with self._lock:
            if self._descriptor is None:
                self._begin()
            if self._done or self._descriptor is None:
                raise OSError(errno.EBADF, "the upload has ended")
            yield self._descriptor

    def _begin(self) -> None:
        self._refuse_directory()
        while self._descriptor is None and not self._done:
            self._create()

    def _create(self) -> None:
        """A new file with our lock on it, which tells the ``sweep`` of any process that it is in use."""
        path = os.path.join(self._layout.uploads, secrets.token_hex(16).encode())
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self._descriptor, self._path = descriptor, path
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if not os.fstat(descriptor).st_nlink:  # a sweep removed it before it was locked: try again
            self._descriptor, self._path = None, b""
            os.close(descriptor)

    def _refuse_directory(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISDIR(os.lstat(self._target).st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))

    def _make_parents(self) -> None:
        """A parent may be removed meanwhile: then the next attempt makes it."""
        with contextlib.suppress(FileNotFoundError):
            self._layout.make_parents(self._key, self._unsynced)


def probe(layout: Layout) -> None:
    """Do what an upload does, with one byte. Raises ``OSError``."""
    part = PartFile(layout, secrets.token_hex(16))
    try:
        part.write((b"\0",))
    finally:
        part.discard()
