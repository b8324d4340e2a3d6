"""The conformance suite of artifact stores: a new driver adds one constructor to ``STORES``."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hokusai import errors
from hokusai.artifacts import ArtifactStore, Entry, Written, store_at
from hokusai.artifacts.store import CHUNK, PAGE, SLICE, FileSlice

STORES: Mapping[str, Callable[[Path, pytest.FixtureRequest], ArtifactStore]] = {
    "local": lambda directory, _: store_at(directory.as_uri()),
    "memory": lambda *_: store_at("memory://"),
    "s3": lambda _, request: store_at(request.getfixturevalue("s3_url") + "/some/prefix"),
    "rclone": lambda _, request: store_at(request.getfixturevalue("rclone_url") + "/some/prefix"),
}

#: What rclone 1.75 does not do as S3 does: docs/decisions/0007-artifacts.md.
UNLIKE_S3 = {
    "test_parts": "it answers a range with 200",
    "test_a_reader_never_sees_two_versions": "it does not look at If-Match",
}

KEY = "workspaces/acme/1/run/artifacts/model.pkl"
PARENT, _, NAME = KEY.rpartition("/")


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.long] * (name == "rclone")) for name in STORES])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ArtifactStore]:
    if request.param == "rclone" and request.function.__name__ in UNLIKE_S3:
        pytest.xfail(UNLIKE_S3[request.function.__name__])
    found = STORES[request.param](tmp_path / "store", request)
    await found.start()
    yield found
    await found.close()


async def put(store: ArtifactStore, key: str, *pieces: bytes) -> Written:
    async with store.upload(key) as upload:
        for piece in pieces:
            await upload.write([piece])
        written = await upload.finish()
        await upload.commit()
    return written


async def get(store: ArtifactStore, key: str, offset: int = 0, length: int | None = None) -> bytes:
    reader = await store.open(key)
    assert reader is not None
    async with (
        aclosing(reader),
        aclosing(reader.chunks(offset, reader.stat.size - offset if length is None else length)) as chunks,
    ):
        return b"".join([chunk async for chunk in chunks])


async def listed(store: ArtifactStore, directory: str) -> list[Entry]:
    return sorted([entry async for page in store.list(directory) for entry in page], key=lambda entry: entry.name)


async def keys(store: ArtifactStore, directory: str = "") -> set[str]:
    """Every file in the store, as its listings tell it."""
    found = set()
    for entry in await listed(store, directory):
        path = f"{directory}/{entry.name}".lstrip("/")
        found |= await keys(store, path) if entry.size is None else {path}
    return found


async def test_what_goes_in_comes_out(store: ArtifactStore) -> None:
    before = datetime.now(UTC)
    written = await put(store, KEY, b"hello ", b"", b"world")
    assert (written.size, written.sha256) == (11, hashlib.sha256(b"hello world").hexdigest())
    assert before - timedelta(seconds=1) <= written.created <= datetime.now(UTC) + timedelta(seconds=1)
    assert await get(store, KEY) == b"hello world"
    stat = await store.stat(KEY)
    assert stat is not None
    assert (stat.size, stat.created) == (written.size, written.created)
    reader = await store.open(KEY)
    assert reader is not None
    assert reader.stat == stat
    await reader.aclose()


async def test_no_two_uploads_are_of_one_moment(store: ArtifactStore) -> None:
    written = await asyncio.gather(*(put(store, f"{PARENT}/{number}", b"1") for number in range(50)))
    assert len({one.created for one in written}) == 50


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7])
async def test_sizes_around_a_chunk(store: ArtifactStore, size: int) -> None:
    data = os.urandom(size)
    written = await put(store, KEY, data)
    assert (written.size, written.sha256) == (size, hashlib.sha256(data).hexdigest())
    assert await get(store, KEY) == data


async def test_parts(store: ArtifactStore) -> None:
    data = os.urandom(2 * CHUNK + 100)
    await put(store, KEY, data)
    for offset, length in ((0, 1), (5, 10), (CHUNK - 1, 2), (CHUNK, CHUNK), (2 * CHUNK, 100), (17, 2 * CHUNK), (9, 0)):
        assert await get(store, KEY, offset, length) == data[offset : offset + length]


async def test_slices_of_a_file_are_the_same_bytes(store: ArtifactStore) -> None:
    content = os.urandom(SLICE + CHUNK + 3)
    await put(store, "a/b", content)
    reader = await store.open("a/b")
    assert reader is not None
    async with aclosing(reader):
        for offset, length in ((0, len(content)), (5, SLICE), (7, 3), (len(content) - 1, 1), (3, 0)):
            found = b""
            async for piece in reader.slices(offset, length):
                assert len(piece) <= SLICE
                found += os.pread(piece.file, len(piece), piece.offset) if isinstance(piece, FileSlice) else piece
            assert found == content[offset : offset + length]


async def test_chunks_are_bounded(store: ArtifactStore) -> None:
    await put(store, KEY, os.urandom(2 * CHUNK + 1))
    reader = await store.open(KEY)
    assert reader is not None
    async with aclosing(reader):
        assert max([len(chunk) async for chunk in reader.chunks(0, 2 * CHUNK + 1)]) <= CHUNK


async def test_nothing_is_visible_before_commit(store: ArtifactStore) -> None:
    async with store.upload(KEY) as upload:
        await upload.write([b"half"])
        await upload.finish()
        assert await store.stat(KEY) is None
        assert await store.open(KEY) is None
        assert await keys(store) == set()
        assert await listed(store, "") == []
        await upload.commit()
        assert await get(store, KEY) == b"half"


async def test_leaving_without_commit_keeps_nothing(store: ArtifactStore, tmp_path: Path) -> None:
    async with store.upload(KEY) as upload:
        await upload.write([b"x" * CHUNK])
    async with store.upload(KEY) as upload:
        await upload.write([b"x" * CHUNK])
        await upload.finish()

    async def fail() -> None:
        async with store.upload(KEY) as upload:
            await upload.write([b"x" * CHUNK])
            raise RuntimeError("the caller failed")

    with pytest.raises(RuntimeError, match="the caller failed"):
        await fail()
    assert await keys(store) == set()
    assert await listed(store, "") == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_a_cancelled_upload_keeps_nothing(store: ArtifactStore, tmp_path: Path) -> None:
    started = asyncio.Event()

    async def endless() -> None:
        async with store.upload(KEY) as upload:
            while True:
                await upload.write([b"x" * 65536])
                started.set()
                await asyncio.sleep(0)

    task = asyncio.create_task(endless())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await keys(store) == set()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_overwriting_is_atomic(store: ArtifactStore) -> None:
    old = await put(store, KEY, b"old")
    async with store.upload(KEY) as upload:
        await upload.write([b"newer"])
        await upload.finish()
        assert await get(store, KEY) == b"old"
        stat = await store.stat(KEY)
        assert stat is not None
        assert stat.created == old.created
        await upload.commit()
        assert await get(store, KEY) == b"newer"
    assert await keys(store) == {KEY}


async def test_an_aborted_overwrite_leaves_the_old_file(store: ArtifactStore) -> None:
    await put(store, KEY, b"old")
    async with store.upload(KEY) as upload:
        await upload.write([b"new"])
        await upload.finish()
    assert await get(store, KEY) == b"old"


async def test_concurrent_overwrites_leave_one_whole_file(store: ArtifactStore) -> None:
    versions = [bytes([number]) * (CHUNK + number) for number in range(8)]
    written = await asyncio.gather(*(put(store, KEY, data[:CHUNK], data[CHUNK:]) for data in versions))
    stat = await store.stat(KEY)
    assert stat is not None
    assert await get(store, KEY) in versions
    assert stat.created in {one.created for one in written}
    assert await keys(store) == {KEY}


async def test_a_reader_never_sees_two_versions(store: ArtifactStore) -> None:
    versions = [bytes([number]) * (2 * CHUNK) for number in range(6)]
    await put(store, KEY, versions[0])

    async def read() -> None:
        for _ in range(5):
            with contextlib.suppress(
                errors.ArtifactStoreDown
            ):  # a store may refuse to go on with a version that is gone
                assert await get(store, KEY) in versions

    await asyncio.gather(read(), read(), *(put(store, KEY, data) for data in versions))


async def test_unknown_names_are_values(store: ArtifactStore) -> None:
    await put(store, KEY, b"")
    for key in ("workspaces/beta", f"{PARENT}/other", PARENT, f"{KEY}/below", KEY[:-1], KEY + "x"):
        assert await store.stat(key) is None, key
        assert await store.open(key) is None, key
    for directory in ("workspaces/beta", f"{PARENT}/other", KEY, f"{KEY}/below", PARENT[:-1]):
        assert await listed(store, directory) == [], directory
    for key in ("workspaces/beta", f"{PARENT}/other", f"{KEY}/below", PARENT[:-1], KEY[:-1]):
        assert await store.delete(key) is False, key
    assert await keys(store) == {KEY}


async def test_listings(store: ArtifactStore) -> None:
    await put(store, f"{PARENT}/a.txt", b"12345")
    await put(store, f"{PARENT}/empty", b"")
    await put(store, f"{PARENT}/model/MLmodel", b"1")
    await put(store, f"{PARENT}/model/data/weights", b"1")
    await put(store, f"{PARENT}2/elsewhere", b"1")
    assert await listed(store, PARENT) == [Entry("a.txt", 5), Entry("empty", 0), Entry("model", None)]
    assert await listed(store, f"{PARENT}/model") == [Entry("MLmodel", 1), Entry("data", None)]
    assert await listed(store, "workspaces") == [Entry("acme", None)]
    assert await listed(store, "") == [Entry("workspaces", None)]


async def test_listings_come_in_pages(store: ArtifactStore) -> None:
    names = {f"{number:05}" for number in range(PAGE + 1)}

    async def fill(some: Iterator[str]) -> None:
        for name in some:
            async with store.upload(f"{PARENT}/{name}") as upload:
                await upload.commit()

    rest = iter(names)
    await asyncio.gather(*(fill(rest) for _ in range(16)))
    pages = [page async for page in store.list(PARENT)]
    assert max(len(page) for page in pages) <= PAGE
    assert {entry.name for page in pages for entry in page} == names


async def test_an_unfinished_listing_can_be_left(store: ArtifactStore) -> None:
    await put(store, KEY, b"")
    async with aclosing(store.list(PARENT)) as pages:
        assert await anext(pages)
    assert await store.delete(KEY)


async def test_deleting_a_file(store: ArtifactStore) -> None:
    await put(store, KEY, b"1")
    await put(store, f"{PARENT}/other", b"2")
    assert await store.delete(KEY) is True
    assert await store.stat(KEY) is None
    assert await keys(store) == {f"{PARENT}/other"}
    assert await store.delete(KEY) is False


async def test_deleting_a_directory(store: ArtifactStore) -> None:
    inside = [f"{PARENT}/model/{name}" for name in ("MLmodel", "data/a", "data/b/c")]
    outside = [f"{PARENT}/model2", f"{PARENT}/mode", "workspaces/acme2/1/run/artifacts/model/MLmodel"]
    for key in inside + outside:
        await put(store, key, b"1")
    assert await store.delete(f"{PARENT}/model") is True
    assert await keys(store) == set(outside)


async def test_a_directory_is_there_while_something_is_in_it(store: ArtifactStore) -> None:
    await put(store, KEY, b"1")
    await store.delete(KEY)
    assert await listed(store, "") == []
    assert await listed(store, PARENT) == []
    await put(store, PARENT, b"now a file")
    assert await get(store, PARENT) == b"now a file"


async def test_a_deleted_file_can_come_back(store: ArtifactStore) -> None:
    await put(store, KEY, b"1")
    await store.delete("workspaces/acme")
    await put(store, KEY, b"2")
    assert await get(store, KEY) == b"2"


async def test_files_and_directories_do_not_share_names(store: ArtifactStore) -> None:
    await put(store, KEY, b"1")
    for key in (f"{KEY}/below", f"{KEY}/far/below", PARENT, "workspaces/acme"):
        with pytest.raises(errors.ArtifactPathTaken):
            await put(store, key, b"2")
    assert await keys(store) == {KEY}
    assert await get(store, KEY) == b"1"


async def test_what_is_taken_while_an_upload_runs(store: ArtifactStore) -> None:
    async with store.upload(KEY) as upload:
        await upload.write([b"1"])
        await put(store, f"{KEY}/below", b"2")
        with pytest.raises(errors.ArtifactPathTaken):
            await upload.commit()
    async with store.upload(f"{PARENT}/a/b/c") as upload:
        await put(store, f"{PARENT}/a", b"3")
        with pytest.raises(errors.ArtifactPathTaken):
            await upload.commit()
    assert await keys(store) == {f"{KEY}/below", f"{PARENT}/a"}


async def test_uploads_land_while_their_directory_is_deleted(store: ArtifactStore) -> None:
    async def land(number: int) -> None:
        await put(store, f"{PARENT}/d/{number}", b"1")

    async def clear() -> None:
        for _ in range(30):
            await store.delete(f"{PARENT}/d")

    await asyncio.gather(clear(), *(land(number) for number in range(60)))
    await put(store, f"{PARENT}/d/last", b"1")
    assert await get(store, f"{PARENT}/d/last") == b"1"


NAMES = [
    "a b",
    "a&b",
    "a%b",
    "a%20b",
    "100%",
    "a+b",
    "a#1",
    "a?b",
    "-rf",
    "~",
    "$HOME",
    "*",
    'a"b',
    "a'b",
    "<b>",
    "a:b",
    "a;b",
]
NAMES += [
    "é",
    unicodedata.normalize("NFD", "é"),
    "日本語",
    "🦊",
    ".hidden",
    "..a",
    "CON",
    ".artifact.uploading.x",
    "x" * 255,
]


async def test_names_are_kept_as_sent(store: ArtifactStore) -> None:
    for name in NAMES:
        await put(store, f"{PARENT}/{name}", name.encode())
        await put(store, f"{PARENT}/in/{name}/file", b"")
    assert {entry.name for entry in await listed(store, PARENT)} == {*NAMES, "in"}
    assert {entry.name for entry in await listed(store, f"{PARENT}/in")} == set(NAMES)
    for name in NAMES:
        assert await get(store, f"{PARENT}/{name}") == name.encode()


async def test_a_healthy_store_is_ready_and_has_nothing_abandoned(store: ArtifactStore) -> None:
    await put(store, KEY, b"1")
    await store.check()
    async with store.upload(f"{PARENT}/other") as upload:
        await upload.write([b"x"])
        if store.staging:
            assert await store.staging.abandoned() == []
        await store.start()
        await upload.commit()
    assert await keys(store) == {KEY, f"{PARENT}/other"}


async def test_a_walk_has_all_files_below_in_the_order_of_their_keys(store: ArtifactStore) -> None:
    names = ["a", "a-b/c", "a.b", "ab/c/d", "ab/c-d", "ä", "with space", "z%41"]
    for name in names:
        await put(store, f"workspaces/acme/{name}", b"1" * len(name))
    await put(store, "workspaces/acme2/a", b"1")
    found = [entry async for page in store.walk("workspaces/acme") for entry in page]
    expected = sorted((f"workspaces/acme/{name}" for name in names), key=str.encode)
    assert [entry.name for entry in found] == expected
    assert [entry.size for entry in found] == [len(name) - len("workspaces/acme/") for name in expected]
    assert [page async for page in store.walk("workspaces/nobody")] == []
