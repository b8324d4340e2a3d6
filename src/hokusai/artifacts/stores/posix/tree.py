"""All files below a directory in their order, and a look at one name. Everything here blocks."""

# Paths are bytes, so that file names do not depend on the process's locale; pathlib does not support bytes.
# ruff: noqa: PTH118, PTH208

from __future__ import annotations

import contextlib
import heapq
import os
import threading
from collections.abc import Iterator
from itertools import islice

from hokusai.artifacts.path import MAX_DEPTH
from hokusai.artifacts.store import PAGE, Entry, Look
from hokusai.artifacts.stores.posix.layout import NOTHING, Layout, prune
from hokusai.artifacts.stores.posix.open_file import stat_at

#: Names of one directory in memory at a time. A larger directory is read once for each so many.
_NAMES = 50_000
#: Nothing that a key leads to is deeper: its names, those of its workspace, and some more.
_DEPTH = MAX_DEPTH + 8


class Tree:
    """The files below a directory, page by page (``store.ArtifactStore.walk``).

    The order is that of whole keys, so a directory comes where its name with a '/' after it belongs.
    """

    def __init__(self, layout: Layout, directory: str, *, names: int = _NAMES) -> None:
        self._layout = layout
        self._names = names
        self._lock = threading.Lock()
        self._found = self._below(layout.of(directory), directory, 0)

    def page(self) -> list[Entry]:
        """The next files; empty at the end."""
        with self._lock:
            return list(islice(self._found, PAGE))

    def _below(self, path: bytes, key: str, depth: int) -> Iterator[Entry]:
        try:
            names = self._sorted_names(path)
            first = next(names, None)
        except NOTHING:
            self._layout.confirm()
            return
        if first is None:
            yield Entry(key, None)
            return
        yield from self._each(path, key, depth, first)
        for name in names:
            yield from self._each(path, key, depth, name)

    def _each(self, path: bytes, above: str, depth: int, name: bytes) -> Iterator[Entry]:
        """Nothing for a name that is not UTF-8, for links and special files, and for what was just deleted."""
        with contextlib.suppress(UnicodeDecodeError, *NOTHING):
            key = f"{above}/{name.rstrip(b'/').decode()}"
            if not name.endswith(b"/"):
                if stat := stat_at(os.path.join(path, name)):
                    yield Entry(key, stat.size)
            elif depth < _DEPTH:
                yield from self._below(os.path.join(path, name[:-1]), key, depth + 1)

    def _sorted_names(self, path: bytes) -> Iterator[bytes]:
        """Those of directories end in '/'."""
        after = b""
        while True:
            with os.scandir(path) as entries:
                names = (entry.name + b"/" if entry.is_dir(follow_symlinks=False) else entry.name for entry in entries)
                some = heapq.nsmallest(self._names, (name for name in names if name > after))
            yield from some
            if len(some) < self._names:
                return
            after = some[-1]


def look(layout: Layout, key: str, staged: str | None) -> Look:
    """The name is looked at last: from the other places a file only goes there."""
    on_its_way = bool(staged and os.path.lexists(layout.staged(staged))) or _is_in_trash(layout, key)
    try:
        return Look(stat_at(layout.of(key)), on_its_way)
    except NOTHING:
        layout.confirm()
        return Look(None, on_its_way)


def is_empty(layout: Layout, directory: str) -> bool:
    """False where it does not exist."""
    try:
        with os.scandir(layout.of(directory)) as entries:
            return next(entries, None) is None
    except NOTHING:
        return False


def remove_empty(layout: Layout, directory: str) -> bool:
    """Remove it and those above it, as far as nothing is in them."""
    prune(layout.of(directory), layout.root)
    return not os.path.lexists(layout.of(directory))


def _is_in_trash(layout: Layout, key: str) -> bool:
    names = os.listdir(layout.trash)
    return any(os.path.lexists(os.path.join(layout.trash, name, key.encode())) for name in names)
