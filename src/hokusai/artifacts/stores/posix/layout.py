"""The directory of a local store: where files are, and how they are removed. Everything here blocks."""

# Paths are bytes, so that file names do not depend on the process's locale; pathlib does not support bytes.
# ruff: noqa: PTH102, PTH103, PTH104, PTH106, PTH108, PTH110, PTH112, PTH114, PTH116, PTH118, PTH120, PTH208

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil

from hokusai import disk
from hokusai.artifacts.path import WORKSPACES

#: The store's own directory at its root. No key leads there, and no listing shows it.
RESERVED = b".hokusai"

#: What the system raises for a path where nothing exists.
NOTHING = (FileNotFoundError, NotADirectoryError)


class Layout:
    """The places below one root directory."""

    def __init__(self, root: bytes) -> None:
        self.root = root
        self.uploads = os.path.join(root, RESERVED, b"uploads")
        self.trash = os.path.join(root, RESERVED, b"trash")

    def of(self, key: str) -> bytes:
        return os.path.join(self.root, key.encode()) if key else self.root

    def prepare(self) -> None:
        """Raises ``OSError`` where the directories cannot be made, or uploads could not be renamed into place."""
        os.makedirs(self.root, mode=0o700, exist_ok=True)
        for directory in (os.path.dirname(self.uploads), self.uploads, self.trash):
            with contextlib.suppress(FileExistsError):
                os.mkdir(directory, mode=0o700)
        workspaces = os.path.join(self.root, WORKSPACES.encode())
        if os.path.exists(workspaces) and os.stat(workspaces).st_dev != os.stat(self.uploads).st_dev:
            raise OSError(errno.EXDEV, f"{WORKSPACES!r} in it is on another file system: files cannot be renamed to it")

    def confirm(self) -> None:
        """Raises ``FileNotFoundError`` where the whole store is missing (unmounted): then no file is unknown."""
        os.stat(self.uploads)

    def sweep(self) -> int:
        """Remove uploads that no running process has locked, and the remains of deletions."""
        uploads = sum(_sweep(entry) for entry in _entries(self.uploads))
        return uploads + sum(purge(entry) for entry in _entries(self.trash))


def remove(layout: Layout, key: str) -> bytes | None:
    """Move a file or a whole directory into the trash, at once; ``purge`` then frees the path that is returned."""
    target = layout.of(key)
    trashed = os.path.join(layout.trash, secrets.token_hex(16).encode())
    try:
        os.rename(target, trashed)
    except NOTHING:
        layout.confirm()
        os.stat(layout.trash)
        return None
    with contextlib.suppress(*NOTHING):
        disk.sync(os.path.dirname(target))
    prune(os.path.dirname(target), layout.root)
    return trashed


def purge(path: bytes) -> bool:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    return True


def prune(directory: bytes, root: bytes) -> None:
    """Remove directories that have become empty, upwards. As in an object store, there are no empty directories."""
    with contextlib.suppress(OSError):
        while directory != root:
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(directory)
            directory = os.path.dirname(directory)


def _sweep(path: bytes) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    except OSError:  # in use, or already gone
        return False
    finally:
        os.close(descriptor)
    return True


def _entries(directory: bytes) -> list[bytes]:
    return [os.path.join(directory, name) for name in os.listdir(directory)]
