"""Stored files and directories on a POSIX file system. Everything here blocks; ``store.py`` runs it on threads."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

from hokusai.artifacts.store import PAGE, Entry, Piece, Stat
from hokusai.artifacts.stores.posix.layout import NOTHING, RESERVED, Layout
from hokusai.buffers import Buffers

_NOWAIT = getattr(os, "RWF_NOWAIT", None)  # Linux
#: Bytes in one read: few enough to be still in the processor's cache when they are written to the socket.
PIECE = 1 << 19

#: Buffers for one file: one is being sent, one is next, one is being read.
_BUFFERS = 3
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SMALL = 1 << 16  # bytes; memory of this size comes without page faults
_NO_FILE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})


class OpenFile:
    """A stored file, open for reading. Symbolic links and special files are treated as missing.

    The lock is for a thread that is still reading when its request has ended: the descriptor's number must not be
    closed, and used for another file, under it.
    """

    def __init__(self, layout: Layout, key: str) -> None:
        self._layout = layout
        self._path = layout.of(key)
        self._descriptor: int | None = None
        self._lock = threading.Lock()
        self._done = False
        self._buffers = Buffers(PIECE, max_kept=_BUFFERS)

    def open(self) -> Stat | None:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        with self._lock:
            if self._done:
                return None
            try:
                self._descriptor = os.open(self._path, flags)
            except OSError as error:
                if error.errno not in _NO_FILE:
                    raise
                self._layout.confirm()
                return None
            return _regular(os.fstat(self._descriptor))

    @property
    def number(self) -> int:
        """Its descriptor. Raises ``OSError`` once the file is closed."""
        if self._descriptor is None:
            raise OSError(errno.EBADF, "the file was closed")
        return self._descriptor

    def read(self, offset: int, length: int) -> Piece:
        """At least one byte, and at most ``PIECE``."""
        with self._lock:
            if not (piece := self._into(self._buffer(length), offset, 0)):
                raise OSError(errno.EIO, "the file has become shorter")
            return piece

    def cached(self, offset: int, length: int) -> Piece | None:
        """Bytes from the page cache, without waiting for the disk (``preadv2(2)``, RWF_NOWAIT), or None."""
        if _NOWAIT is None or not self._lock.acquire(blocking=False):
            return None
        try:
            return self._into(self._buffer(length), offset, _NOWAIT) or None
        except OSError:  # not in the cache, or a file system without support
            return None
        finally:
            self._lock.release()

    def _buffer(self, length: int) -> memoryview:
        return self._buffers.take()[:length] if length > _SMALL else memoryview(bytearray(length))

    def _into(self, buffer: memoryview, offset: int, flags: int) -> memoryview:
        return buffer[: os.preadv(self.number, [buffer], offset, flags)]

    def close(self) -> None:
        with self._lock:
            self._done = True
            if self._descriptor is not None:
                descriptor, self._descriptor = self._descriptor, None
                os.close(descriptor)


class Scan:
    """A directory's entries, page by page, without all of them in memory."""

    def __init__(self, layout: Layout, directory: str) -> None:
        self._layout = layout
        self._path = layout.of(directory)
        self._hidden = RESERVED if self._path == layout.root else None
        self._open = contextlib.ExitStack()
        self._lock = threading.Lock()
        self._found: Iterator[Entry] | None = None

    def page(self) -> list[Entry]:
        """The next entries; empty at the end."""
        with self._lock:
            if self._found is None:
                self._found = self._begin()
            return list(islice(self._found, PAGE))

    def close(self) -> None:
        with self._lock:
            self._open.close()
            self._found = iter(())

    def _begin(self) -> Iterator[Entry]:
        try:
            entries = self._open.enter_context(os.scandir(self._path))
        except NOTHING:
            self._layout.confirm()
            return iter(())
        shown = (_entry(entry) for entry in entries if entry.name != self._hidden)
        return (entry for entry in shown if entry)


def stat_of(layout: Layout, key: str) -> Stat | None:
    try:
        return stat_at(layout.of(key))
    except NOTHING:
        layout.confirm()
        return None


def stat_at(path: bytes) -> Stat | None:
    """None for what is not a regular file. Raises ``FileNotFoundError`` or ``NotADirectoryError``."""
    return _regular(os.lstat(path))


def _entry(found: os.DirEntry[bytes]) -> Entry | None:
    """None for a name that no artifact path can have, for links and special files, and for what was just deleted."""
    try:
        name = found.name.decode("utf-8")
        if found.is_dir(follow_symlinks=False):
            return Entry(name, None)
        size = found.stat(follow_symlinks=False).st_size
        return Entry(name, size) if found.is_file(follow_symlinks=False) else None
    except (UnicodeDecodeError, FileNotFoundError):
        return None


def _regular(found: os.stat_result) -> Stat | None:
    if not stat.S_ISREG(found.st_mode):
        return None
    version = f"{found.st_ino}-{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}"
    return Stat(found.st_size, created(found), version)


def created(found: os.stat_result) -> datetime:
    """The modification time, to the microsecond: the precision that databases keep."""
    return _EPOCH + timedelta(microseconds=found.st_mtime_ns // 1000)
