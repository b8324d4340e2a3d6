"""Failures that only a local disk has."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from hokusai import errors
from hokusai.artifacts import Entry, LocalStore
from hokusai.artifacts.stores.posix.layout import Layout
from hokusai.artifacts.stores.posix.part_file import PartFile
from tests.artifacts.stores.test_store import KEY, PARENT, get, keys, listed, put


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
async def store(root: Path) -> AsyncIterator[LocalStore]:
    found = LocalStore(os.fsencode(root))
    await found.start()
    yield found
    await found.close()


@pytest.fixture
async def small(small_disk: Path) -> AsyncIterator[LocalStore]:
    found = LocalStore(os.fsencode(small_disk))
    await found.start()
    yield found
    await found.close()


def free(path: Path) -> int:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


async def test_the_layout_is_mlflows(store: LocalStore, root: Path) -> None:
    await put(store, KEY, b"1")
    assert (root / KEY).read_bytes() == b"1"
    (root / PARENT / "adopted").write_bytes(b"from before")
    assert await get(store, f"{PARENT}/adopted") == b"from before"


async def test_a_full_disk_keeps_nothing_and_the_next_upload_works(small: LocalStore, small_disk: Path) -> None:
    await put(small, KEY, b"old")
    before = free(small_disk)
    for pieces in ([bytes(1 << 20)] * 16, [bytes(16 << 20)], [bytes(4 << 20), bytes(12 << 20)]):
        with pytest.raises(errors.ArtifactStoreFull):
            await put(small, KEY, *pieces)
        assert free(small_disk) == before
    assert await get(small, KEY) == b"old"
    await put(small, KEY, *[bytes(1 << 20)] * 4)
    assert await keys(small) == {KEY}


async def test_a_disk_without_room_for_a_directory(small: LocalStore, small_disk: Path) -> None:
    """Room for the upload and two of the four directories that it needs."""
    subprocess.run(["mount", "-o", "remount,nr_inodes=7", str(small_disk)], check=True)
    with pytest.raises(errors.ArtifactStoreFull):
        await put(small, KEY, b"1")
    assert {path.name for path in small_disk.rglob("*")} == {".hokusai", "uploads", "trash"}


async def test_many_uploads_meet_a_full_disk(small: LocalStore, small_disk: Path) -> None:
    found = await asyncio.gather(
        *(put(small, f"{PARENT}/{number}", *[bytes(1 << 20)] * 5) for number in range(6)), return_exceptions=True
    )
    landed = [one for one in found if not isinstance(one, BaseException)]
    assert all(isinstance(one, errors.ArtifactStoreFull) for one in found if isinstance(one, BaseException))
    assert len(await keys(small)) == len(landed) < 6
    assert [path for path in (small_disk / ".hokusai").rglob("*") if path.is_file()] == []


async def test_a_full_store_is_not_ready_but_starts(small: LocalStore, small_disk: Path) -> None:
    await put(small, KEY, b"1")
    with (small_disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(4096))
    with pytest.raises(errors.ArtifactStoreFull):
        await small.check()
    await small.start()
    assert await get(small, KEY) == b"1"
    assert await small.delete(KEY)


async def test_a_read_only_disk(small: LocalStore, small_disk: Path) -> None:
    await put(small, KEY, b"1")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for attempt in (put(small, KEY, b"2"), small.delete(KEY), small.check()):
        with pytest.raises(errors.ArtifactStoreDenied):
            await attempt
    with pytest.raises(errors.ArtifactStoreUnusable):
        await small.start()
    assert await get(small, KEY) == b"1"


async def test_a_disk_that_hangs_is_down_in_bounded_time(root: Path) -> None:
    store = LocalStore(os.fsencode(root), threads=1, seconds=0.2)
    await store.start()
    await put(store, KEY, b"1")
    wakes = threading.Event()
    store._threads.later(wakes.wait)  # the one thread is stuck in the kernel
    try:
        for attempt in (put(store, KEY, b"2"), get(store, KEY), store.stat(KEY), store.delete(KEY), store.check()):
            with pytest.raises(errors.ArtifactStoreDown):
                await attempt
    finally:
        wakes.set()
    assert await get(store, KEY) == b"1"
    assert [path for path in (root / ".hokusai").rglob("*") if path.is_file()] == []
    await store.close()


async def test_a_store_that_is_away_is_down_not_empty(store: LocalStore, root: Path) -> None:
    await put(store, KEY, b"1")
    root.rename(root.with_name("away"))
    for attempt in (get(store, KEY), store.stat(KEY), store.delete(KEY), listed(store, PARENT), put(store, KEY, b"2")):
        with pytest.raises(errors.ArtifactStoreDown):
            await attempt
    with pytest.raises(errors.ArtifactStoreDown):
        await store.check()
    assert not root.exists()
    root.with_name("away").rename(root)
    assert await get(store, KEY) == b"1"


async def test_no_message_names_a_path(store: LocalStore, root: Path) -> None:
    shutil.rmtree(root)
    with pytest.raises(errors.HokusaiError) as caught:
        await put(store, KEY, b"1")
    assert str(root) not in caught.value.body("1").decode()
    assert "acme" not in caught.value.body("1").decode()


async def test_what_a_killed_process_left_is_found(store: LocalStore, root: Path) -> None:
    await put(store, KEY, b"1")
    (root / ".hokusai/uploads/0a1b").write_bytes(b"left by a killed process")
    (root / ".hokusai/trash/of/workspaces/acme/tree").mkdir(parents=True)
    (root / ".hokusai/trash/of/workspaces/acme/tree/file").write_bytes(b"2")
    (root / ".hokusai/trash/file").write_bytes(b"as an older version removed it")
    assert await store.staging.abandoned() == ["0a1b"]
    (removal,) = await store.staging.abandoned_removals()
    assert await removal.key() == "workspaces/acme/tree/file"
    await store.staging.settle("0a1b", f"{PARENT}/new")
    await removal.put_back()
    assert {path.name for path in (root / ".hokusai").rglob("*")} == {"uploads", "trash"}
    assert await keys(store) == {KEY, f"{PARENT}/new", "workspaces/acme/tree/file"}


async def test_a_removal_that_nobody_waits_for_is_put_back(store: LocalStore) -> None:
    await put(store, KEY, b"1")
    removing = asyncio.create_task(store.staging.remove(PARENT))
    await asyncio.sleep(0)
    removing.cancel()
    await asyncio.gather(removing, return_exceptions=True)
    async with asyncio.timeout(10):
        while await store.stat(KEY) is None:
            await asyncio.sleep(0.01)
    assert await get(store, KEY) == b"1"
    removal = await store.staging.remove(PARENT)
    assert removal is not None
    await put(store, KEY, b"2")
    await removal.put_back()
    assert await get(store, KEY) == b"2", "what was stored since stays"


def test_running_uploads_are_not_found(root: Path) -> None:
    """As from other processes: nothing is shared but the directory."""
    layout = Layout(os.fsencode(root))
    layout.prepare()
    done = threading.Event()

    def sweep() -> None:
        while not done.is_set():
            for name in layout.abandoned():
                layout.discard(name)

    sweepers = [threading.Thread(target=sweep) for _ in range(2)]
    for sweeper in sweepers:
        sweeper.start()
    try:
        for number in range(2000):
            part = PartFile(layout, str(number))
            part.finish()
            part.commit()
            part.discard()
    finally:
        done.set()
        for sweeper in sweepers:
            sweeper.join()
    assert len(list(root.iterdir())) == 2001


async def test_links_and_special_files_count_as_nothing(store: LocalStore, root: Path) -> None:
    await put(store, KEY, b"1")
    directory = root / PARENT
    (directory / "passwd").symlink_to("/etc/passwd")
    (directory / "etc").symlink_to("/etc")
    os.mkfifo(directory / "pipe")
    (directory / os.fsdecode(b"\xff")).write_bytes(b"not ours to name")
    for name in ("passwd", "pipe", "etc"):
        assert await store.open(f"{PARENT}/{name}") is None
        assert await store.stat(f"{PARENT}/{name}") is None
    assert await listed(store, PARENT) == [Entry(KEY.rpartition("/")[2], 1)]
    assert await store.delete(f"{PARENT}/etc")
    assert Path("/etc/passwd").exists()


async def test_a_file_that_shrinks_under_a_reader_is_an_error(store: LocalStore, root: Path) -> None:
    await put(store, KEY, b"12345")
    reader = await store.open(KEY)
    assert reader is not None
    os.truncate(root / KEY, 2)
    async with aclosing(reader), aclosing(reader.chunks(0, 5)) as chunks:
        with pytest.raises(errors.ArtifactStoreDown):
            assert b"".join([chunk async for chunk in chunks])


async def test_a_changed_file_is_another_file(store: LocalStore, root: Path) -> None:
    written = await put(store, KEY, b"1")
    (root / KEY).write_bytes(b"2")
    stat = await store.stat(KEY)
    assert stat is not None
    assert stat.created != written.created


@pytest.mark.parametrize("name", [".hokusai", "a/.hokusai"])
async def test_the_reserved_name_is_free_inside_a_workspace(store: LocalStore, name: str) -> None:
    await put(store, f"{PARENT}/{name}/file", b"1")
    assert f"{PARENT}/{name}/file" in await keys(store)


async def test_a_root_that_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(errors.ArtifactStoreUnusable):
            await LocalStore(os.fsencode(path)).start()


async def test_a_workspaces_directory_on_another_disk_is_refused_at_start(small_disk: Path, tmp_path: Path) -> None:
    root = tmp_path / "store"
    root.mkdir()
    (root / "workspaces").symlink_to(small_disk)
    with pytest.raises(errors.ArtifactStoreUnusable, match="another file system"):
        await LocalStore(os.fsencode(root)).start()
