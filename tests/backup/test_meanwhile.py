"""What users do while a backup is made is not a fault of the backup; what the store has lost is."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from hokusai import settings
from hokusai.artifacts import LocalStore, Reader, Stat, store_at
from hokusai.backup import Manifest, back_up, files, restore, saving
from tests.backup.test_backup import Installation

Change = Callable[[Installation], Awaitable[None]]


async def delete(one: Installation, *, pause: float = 0.0) -> None:
    intent = await one.ledger.intend_deletion(one.place("file"))
    await one.store.delete(one.place("file").key)
    await asyncio.sleep(pause)
    await one.ledger.delete(one.place("file"), intent)


async def replace(one: Installation) -> None:
    await one.put("file", b"replaced")


async def delete_and_put_again(one: Installation) -> None:
    await delete(one)
    await replace(one)


class Later:
    """Runs something a moment after the first look."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []

    async def delete_from_a_bucket(self, one: Installation) -> None:
        self.tasks.append(asyncio.create_task(delete(one, pause=0.3)))
        await asyncio.sleep(0.05)

    async def give_its_name(self, one: Installation) -> None:
        """The record of an upload is committed, and its file still has a temporary name."""
        file = one.data / "artifacts" / one.place("file").key
        staged = one.data / "artifacts" / ".hokusai" / "uploads" / "staged"
        file.rename(staged)

        async def settle() -> None:
            await asyncio.sleep(0.3)
            staged.rename(file)

        self.tasks.append(asyncio.create_task(settle()))


async def backed_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Change) -> Manifest:
    """With ``change`` after the databases were read, and before the files are."""
    plain = saving._artifacts

    async with Installation(tmp_path / "data") as before:
        await before.put("file", b"first")
        await before.put("other", b"other")

        async def changed(*arguments: Any) -> Manifest:
            await change(before)
            return await plain(*arguments)

        monkeypatch.setattr(saving, "_artifacts", changed)
        return await back_up(before.settings, tmp_path / "backup")


async def restored(tmp_path: Path) -> tuple[str | None, list[Any]]:
    """The digest of the file, and the use of the workspace: bytes, files, names."""
    given = settings.load(data=tmp_path / "restored", tracking_url="http://127.0.0.1:1")
    await restore(given, tmp_path / "backup")
    async with Installation(tmp_path / "restored") as after:
        assert await after.digest("other")
        use = await after.execute("SELECT bytes, files, names FROM hokusai_use")
        return await after.digest("file"), use


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("change", [delete, Later().delete_from_a_bucket])
async def test_a_file_that_is_deleted_is_neither_lacking_nor_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    manifest = await backed_up(tmp_path, monkeypatch, change)
    assert (list(manifest.deleted), manifest.lacking) == (["workspaces/acme/file"], {})
    assert await restored(tmp_path) == (None, [(5, 1, 1)])


@pytest.mark.parametrize("change", [replace, delete_and_put_again])
async def test_a_file_that_is_replaced_is_in_the_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    manifest = await backed_up(tmp_path, monkeypatch, change)
    assert (manifest.deleted, manifest.lacking) == ([], {})
    assert await restored(tmp_path) == (sha256(b"replaced"), [(13, 2, 2)])


async def test_a_file_that_gets_its_name_a_moment_later_is_in_the_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = await backed_up(tmp_path, monkeypatch, Later().give_its_name)
    assert (manifest.deleted, manifest.lacking, manifest.replaced) == ([], {}, {})
    assert await restored(tmp_path) == (sha256(b"first"), [(10, 2, 2)])


async def test_a_file_that_is_replaced_at_each_look_is_in_the_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, turns = files.copy, 0

    async def watch(one: Installation) -> None:
        async def replaced_before(source: Any, target: Any, key: str, expected: str | None) -> Any:
            nonlocal turns
            if key == one.place("file").key:
                turns += 1
                await one.put("file", b"turn %d" % turns)
            return await plain(source, target, key, expected)

        monkeypatch.setattr(files, "copy", replaced_before)

    monkeypatch.setattr(saving, "_PAUSES", (0, 0))
    manifest = await backed_up(tmp_path, monkeypatch, watch)
    monkeypatch.setattr(files, "copy", plain)
    assert (manifest.deleted, manifest.lacking) == ([], {})
    assert await restored(tmp_path) == (sha256(b"turn %d" % turns), [(len(b"turn %d" % turns) + 5, 2, 2)])


class Interfering:
    """A store in which a file changes after it was opened and before it is read."""

    def __init__(self, store: Any, change: Callable[[], Awaitable[object]]) -> None:
        self._store = store
        self._change = change

    async def open(self, key: str) -> Reader | None:
        reader: Reader | None = await self._store.open(key)
        await self._change()
        return reader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.mark.process
async def test_what_changes_in_a_bucket_while_it_is_read_is_not_an_outage(s3_url: str, tmp_path: Path) -> None:
    async def put(content: bytes) -> None:
        async with store.upload("workspaces/acme/file") as upload:
            await upload.write([content])
            await upload.finish()
            await upload.commit()

    target = LocalStore(bytes(tmp_path / "target"))
    async with files.started(store_at(s3_url)) as store, files.started(target):
        await put(b"first")
        found = await files.copy(
            Interfering(store, lambda: put(b"second")), target, "workspaces/acme/file", sha256(b"first")
        )
        assert isinstance(found, Stat)
        remove = Interfering(store, lambda: store.delete("workspaces/acme/file"))
        assert await files.copy(remove, target, "workspaces/acme/file", sha256(b"second")) is None
        assert await target.stat("workspaces/acme/file") is None
