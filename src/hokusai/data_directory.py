"""The data directory: created by us, writable, and used by one server at a time."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hokusai import disk, errors

_MARKER = "hokusai.json"
_LOCK = "lock"
OPERATOR_KEY = "operator.key"
_HARMLESS = frozenset({"lost+found"})
#: Seconds for which a lock is waited for: the processes of a server that was killed end a moment after it.
_WAIT_SECONDS = 5.0


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """Create or open the data directory, and lock it until the block ends. Gives the descriptor of the lock.

    Raises ``errors.DataNotOurs``, ``DataNotWritable`` or ``DataInUse``. The kernel holds the lock, so it ends with the
    process, however that ends; and where others have the descriptor too, with the last of them.
    """
    try:
        _prepare(path)
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise errors.DataNotWritable(path=path, reason=errors.reason_of(error)) from error
    try:
        _lock(lock, path)
        yield lock
    finally:
        os.close(lock)


def write_operator_key(path: Path, key: str) -> Path:
    """Write the first operator key to a file that only this user can read; returns the file.

    It is durable when this returns. Raises ``errors.DataNotWritable``.
    """
    file = path / OPERATOR_KEY
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            os.fchmod(stream.fileno(), 0o600)
            stream.write(key + "\n")
        disk.sync(file)
        disk.sync(path)
    except OSError as error:
        raise errors.DataNotWritable(path=file, reason=errors.reason_of(error)) from error
    return file


def _prepare(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    marker = path / _MARKER
    if not marker.exists():
        if any(entry.name not in _HARMLESS for entry in path.iterdir()):
            raise errors.DataNotOurs(path=path)
        marker.write_text(json.dumps({"made_by": "hokusai", "layout": 1}) + "\n")
        disk.sync(marker)
    if not os.access(path, os.W_OK | os.X_OK):
        raise errors.DataNotWritable(path=path, reason="permission denied")


def _lock(lock: int, path: Path) -> None:
    end = time.monotonic() + _WAIT_SECONDS
    while not _locked(lock):
        if time.monotonic() > end:
            holder = os.pread(lock, 20, 0).decode().strip() or "unknown"
            raise errors.DataInUse(path=path, pid=holder)
        time.sleep(0.02)
    with suppress(OSError):  # a full disk must not keep a server from starting: the number is only for people
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
