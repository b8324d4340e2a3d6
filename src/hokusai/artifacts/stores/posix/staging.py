"""The uploads and deletions of a local store that are not finished (``store.Staging``), on the store's threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from hokusai.artifacts.store import NOTHING_UNFINISHED, Look, Stat
from hokusai.artifacts.stores.posix import tree
from hokusai.artifacts.stores.posix.layout import Layout
from hokusai.artifacts.stores.posix.removal import Removal
from hokusai.artifacts.stores.posix.threads import Threads, translate_errors


class LocalStaging:
    """Uploads under their temporary names, and what is in the trash."""

    def __init__(self, layout: Layout, threads: Threads) -> None:
        self._layout = layout
        self._threads = threads

    async def settle(self, name: str, key: str) -> bool:
        return await self._threads.run("write", self._layout.settle, name, key)

    def settle_now(self, name: str, key: str) -> bool:
        with translate_errors("write"):
            return self._layout.settle(name, key)

    async def discard(self, name: str) -> None:
        await self._threads.run("delete", self._layout.discard, name)

    async def abandoned(self) -> Sequence[str]:
        return await self._threads.run("list", self._layout.abandoned)

    async def remove(self, key: str, unfinished: Mapping[str, str] = NOTHING_UNFINISHED) -> LocalRemoval | None:
        """Where the caller does not wait for the end of it, what was removed is put back."""
        remove = partial(self._remove, key, unfinished)
        removal = await self._threads.run_or_undo("delete", remove, _put_back)
        return LocalRemoval(removal, self._threads) if removal else None

    def _remove(self, key: str, unfinished: Mapping[str, str]) -> Removal | None:
        for name in self._layout.uploading() & unfinished.keys():
            self._layout.settle(name, unfinished[name])
        return Removal.of(self._layout, key)

    def look_now(self, key: str, staged: str | None) -> Look:
        with translate_errors("read"):
            return tree.look(self._layout, key, staged)

    def is_empty_now(self, directory: str) -> bool:
        with translate_errors("list"):
            return tree.is_empty(self._layout, directory)

    def remove_empty_now(self, directory: str) -> bool:
        with translate_errors("delete"):
            return tree.remove_empty(self._layout, directory)

    async def abandoned_removals(self) -> Sequence[LocalRemoval]:
        found = await self._threads.run("list", Removal.abandoned, self._layout)
        return [LocalRemoval(removal, self._threads) for removal in found]


class LocalRemoval:
    """Something in the trash (``store.Removal``)."""

    def __init__(self, removal: Removal, threads: Threads) -> None:
        self._removal = removal
        self._threads = threads

    @property
    def name(self) -> str:
        return self._removal.name

    async def leave(self) -> None:
        self._removal.leave()

    async def key(self) -> str:
        return await self._threads.run("list", self._removal.key)

    async def stat(self, key: str) -> Stat | None:
        return await self._threads.run("read", self._removal.stat, key)

    async def put_back(self) -> None:
        await self._threads.run("write", self._removal.put_back)

    async def purge(self) -> None:
        self._threads.later(self._removal.purge)


def _put_back(removal: Removal | None) -> None:
    if removal:
        removal.put_back()
