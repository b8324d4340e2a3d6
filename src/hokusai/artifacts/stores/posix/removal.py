"""Deletion from a POSIX file system: into the trash at once, from where it can be put back until it is purged.

Everything here blocks.
"""

# Paths are bytes, so that file names do not depend on the process's locale; pathlib does not support bytes.
# ruff: noqa: PTH102, PTH103, PTH104, PTH108, PTH112, PTH114, PTH118, PTH119, PTH120, PTH208

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil

from hokusai import disk
from hokusai.artifacts.store import Stat
from hokusai.artifacts.stores.posix.layout import NOTHING, Layout, prune
from hokusai.artifacts.stores.posix.open_file import stat_at


class Removal:
    """A file, or a directory with everything in it, that is being deleted.

    It lies in ``.hokusai/trash/<random>/<its key>``, so that whoever finds it knows where it was. A lock on
    ``<random>`` tells other processes that this one will purge it or put it back.
    """

    def __init__(self, layout: Layout, name: bytes) -> None:
        self._layout = layout
        self._trash = os.path.join(layout.trash, name)
        self._lock: int | None = os.open(self._trash, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    @classmethod
    def of(cls, layout: Layout, key: str) -> Removal | None:
        """Remove what has this key; None where there is nothing. Raises ``OSError``."""
        target = layout.of(key)
        if not os.path.lexists(target):
            layout.confirm()
            return None
        removal = cls._begun(layout)
        try:
            trashed = os.path.join(removal._trash, key.encode())
            os.makedirs(os.path.dirname(trashed), mode=0o700)
            os.rename(target, trashed)
        except BaseException as error:
            removal.purge()
            if isinstance(error, NOTHING):
                layout.confirm()
                return None
            raise
        with contextlib.suppress(*NOTHING):
            disk.sync(os.path.dirname(target))
        prune(os.path.dirname(target), layout.root)
        return removal

    @classmethod
    def abandoned(cls, layout: Layout) -> list[Removal]:
        """Those whose process is gone."""
        found = []
        for name in os.listdir(layout.trash):
            try:
                removal = cls(layout, name)
            except NotADirectoryError:  # a file that an older version removed
                os.unlink(os.path.join(layout.trash, name))
            except FileNotFoundError:
                continue
            else:
                found += [removal] if removal._is_locked() else []
        return found

    def key(self) -> str:
        """The longest one that all its files are below; empty where nothing is left."""
        path = self._trash
        while os.path.isdir(path) and not os.path.islink(path) and len(names := os.listdir(path)) == 1:
            path = os.path.join(path, names[0])
        return "" if path == self._trash else os.fsdecode(os.path.relpath(path, self._trash))

    def stat(self, key: str) -> Stat | None:
        with contextlib.suppress(*NOTHING):
            return stat_at(os.path.join(self._trash, key.encode()))
        return None

    def put_back(self) -> None:
        """Give every file its name back, unless another one has it now. Raises ``OSError``."""
        for directory, _, names in os.walk(self._trash):
            for name in names:
                path = os.path.join(directory, name)
                target = os.path.join(self._layout.root, os.path.relpath(path, self._trash))
                if not os.path.lexists(target):
                    os.makedirs(os.path.dirname(target), exist_ok=True)
                    os.rename(path, target)
                    disk.sync(os.path.dirname(target))
        self.purge()

    def purge(self) -> None:
        """Free the space. May be called twice."""
        shutil.rmtree(self._trash, ignore_errors=True)
        self.leave()

    @property
    def name(self) -> str:
        """Of its directory in the trash."""
        return os.fsdecode(os.path.basename(self._trash))

    def leave(self) -> None:
        """Another process may have it now. May be called twice."""
        if self._lock is not None:
            descriptor, self._lock = self._lock, None
            os.close(descriptor)

    @classmethod
    def _begun(cls, layout: Layout) -> Removal:
        while True:
            name = secrets.token_hex(16).encode()
            os.mkdir(os.path.join(layout.trash, name), mode=0o700)
            with contextlib.suppress(OSError):  # another process took it for an abandoned one before it was locked
                removal = cls(layout, name)
                if removal._is_locked() and os.path.isdir(removal._trash):
                    return removal

    def _is_locked(self) -> bool:
        """Whether this process has it now."""
        assert self._lock is not None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            self._lock = None
            return False
        return True
