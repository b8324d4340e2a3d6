"""The directory of a local store: where files are, and how they get their names. Everything here blocks."""

# Paths are bytes, so that file names do not depend on the process's locale; pathlib does not support bytes.
# ruff: noqa: PTH102, PTH103, PTH104, PTH106, PTH108, PTH110, PTH116, PTH118, PTH120, PTH208

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator

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

    def staged(self, name: str) -> bytes:
        """The temporary path of an upload."""
        return os.path.join(self.uploads, name.encode())

    def uploading(self) -> set[str]:
        """The names of all uploads."""
        return {name.decode() for name in os.listdir(self.uploads)}

    def abandoned(self) -> list[str]:
        """The names of uploads that no running process has locked."""
        found = []
        for name in os.listdir(self.uploads):
            with _locked(os.path.join(self.uploads, name)) as is_abandoned:
                found += [name.decode()] if is_abandoned else []
        return found

    def settle(self, name: str, key: str) -> bool:
        """Give an upload its own name. False where it has it already, or is gone."""
        if not os.path.lexists(self.staged(name)):
            return False
        changed = {os.path.dirname(self.of(key))}
        self.make_parents(key, changed)
        try:
            os.rename(self.staged(name), self.of(key))
        except FileNotFoundError:
            return False
        for directory in changed:
            disk.sync(directory)
        return True

    def discard(self, name: str) -> None:
        """Remove an upload, unless a running process has it."""
        with _locked(self.staged(name)) as is_abandoned:
            if is_abandoned:
                os.unlink(self.staged(name))

    def make_parents(self, key: str, changed: set[bytes]) -> None:
        """Create the directories above a file, but never the root: its disk may be unmounted.

        Those that have a new name in them are added to ``changed``. Raises ``FileNotFoundError`` where one was removed
        meanwhile, and ``NotADirectoryError`` where a file has the name of one.
        """
        made = self.root
        for name in key.encode().split(b"/")[:-1]:
            above, made = made, os.path.join(made, name)
            try:
                os.mkdir(made)
                changed.add(above)
            except FileExistsError:
                if not stat.S_ISDIR(os.stat(made).st_mode):
                    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None


def prune(directory: bytes, root: bytes) -> None:
    """Remove directories that have become empty, upwards. As in an object store, there are no empty directories."""
    with contextlib.suppress(OSError):
        while directory != root:
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(directory)
            directory = os.path.dirname(directory)


@contextlib.contextmanager
def _locked(path: bytes) -> Iterator[bool]:
    """Whether nobody else has locked this file. A process that has just created it waits for the end of the block."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
