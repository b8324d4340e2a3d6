"""What has to survive a power failure."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def sync(path: Path | bytes) -> None:
    """Wait until a file's bytes, or the names in a directory, are on the disk. Raises ``OSError``."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_names(path: Path) -> None:
    """Wait until a directory, with the names in it, and the names that lead to it are on the disk."""
    for directory in (path, *path.absolute().parents):
        with suppress(PermissionError):  # of a directory that this user cannot read, and has not made
            sync(directory)
