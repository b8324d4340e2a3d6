"""What has to survive a power failure."""

from __future__ import annotations

import os
from pathlib import Path


def sync(path: Path | bytes) -> None:
    """Wait until a file's bytes, or the names in a directory, are on the disk. Raises ``OSError``."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
