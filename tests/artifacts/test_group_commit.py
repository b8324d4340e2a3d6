"""Files that are committed as a group: each has its own outcome, on a real disk and in a real database."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from hokusai import errors
from hokusai.artifacts import Ledger, LocalStore, Place, Written
from hokusai.artifacts.group_commit import GroupCommit, PendingFile
from hokusai.artifacts.ledger import Seen
from hokusai.artifacts.stores.posix.store import SMALL, LocalUpload
from hokusai.database import Database
from hokusai.identity import Quota, Use
from tests.artifacts.service import create_tables


class Disk:
    """A store, its ledger, and uploads that wait to land."""

    def __init__(self, root: Path, ledger: Ledger) -> None:
        self.root = root
        self.store = LocalStore(os.fsencode(root))
        self.ledger = ledger
        self.landings = GroupCommit(ledger)
        self.open = AsyncExitStack()

    async def landing(
        self,
        path: str,
        content: bytes = b"content",
        *,
        digests: tuple[str, ...] = (),
        seen: Seen | None = None,
        limit: int | None = None,
    ) -> PendingFile:
        upload = await self.open.enter_async_context(self.store.upload(path))
        assert isinstance(upload, LocalUpload)
        await upload.write([content])
        file = await upload.stage()
        return PendingFile(Place(path, "acme", path), "key-1", Quota(bytes=limit), digests, seen, file)

    async def land(self, *landings: PendingFile) -> list[Written | BaseException]:
        return await asyncio.gather(*map(self.landings.land, landings), return_exceptions=True)

    def there(self) -> set[str]:
        files = (path for path in self.root.rglob("*") if path.is_file())
        return {str(path.relative_to(self.root)) for path in files}


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[Disk]:
    url = f"sqlite:///{tmp_path / 'hokusai.db'}"
    create_tables(url)
    database = Database(url)
    disk = Disk(tmp_path / "files", Ledger(database))
    await disk.store.start()
    yield disk
    await disk.landings.close()
    await disk.open.aclose()
    await disk.store.close()
    await database.close()


async def test_each_has_its_own_outcome(disk: Disk) -> None:
    await disk.land(await disk.landing("old"))
    (disk.root / "taken").mkdir()
    landings = [
        await disk.landing("a"),
        await disk.landing("taken"),
        await disk.landing("b", digests=("0" * 64,)),
        await disk.landing("c", b"x" * 100, limit=50),
        await disk.landing("old", seen=Seen("0" * 64)),
        await disk.landing("d/e/f"),
    ]
    expected = [
        Written,
        errors.ArtifactPathTaken,
        errors.DigestMismatch,
        errors.BytesQuotaExceeded,
        errors.ConditionFailed,
        Written,
    ]
    assert [type(outcome) for outcome in await disk.land(*landings)] == expected
    await disk.open.aclose()
    assert disk.there() == {"old", "a", "d/e/f"}
    assert (await disk.ledger.room(Place("x", "acme", "x")))[0] == Use(bytes=21, files=3)


async def test_one_that_cannot_appear_takes_none_with_it(disk: Disk) -> None:
    """It is found out in the middle of the transaction: the others' records are written again."""
    landings = [await disk.landing(name) for name in ("a", "b", "c")]
    landings[1].file.begin()  # its name was free then
    (disk.root / "b").mkdir()
    (disk.root / "b" / "inside").touch()
    first, second, third = await disk.land(*landings)
    assert isinstance(first, Written)
    assert isinstance(second, errors.ArtifactPathTaken)
    assert isinstance(third, Written)
    found = [await disk.ledger.find(Place(name, "acme", name)) for name in ("a", "b", "c")]
    assert [record is not None for record in found] == [True, False, True]


async def test_of_several_at_one_place_each_lands_in_turn(disk: Disk) -> None:
    contents = [bytes([number]) * (number + 1) for number in range(10)]
    landings = [await disk.landing("same", content) for content in contents]
    outcomes = await disk.land(*landings)
    assert all(isinstance(outcome, Written) for outcome in outcomes)
    record = await disk.ledger.find(Place("same", "acme", "same"))
    assert record is not None
    assert record.size == (disk.root / "same").stat().st_size == 10
    assert (await disk.ledger.room(Place("x", "acme", "x")))[0] == Use(bytes=10, files=1)


async def test_a_request_that_ended_before_its_turn_leaves_nothing(disk: Disk) -> None:
    landing = await disk.landing("gone")
    task = asyncio.create_task(disk.landings.land(landing))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await disk.land(await disk.landing("next"))
    await disk.open.aclose()
    assert disk.there() == {"next"}


@pytest.mark.parametrize("size", [0, 1, SMALL, SMALL + 1, 5 * SMALL])
async def test_of_any_size(disk: Disk, size: int) -> None:
    content = os.urandom(size)
    (written,) = await disk.land(await disk.landing("file", content))
    assert isinstance(written, Written)
    assert written.size == size
    assert (disk.root / "file").read_bytes() == content
    await disk.open.aclose()
    assert disk.there() == {"file"}


async def test_a_database_that_is_away_lets_nothing_appear(disk: Disk, tmp_path: Path) -> None:
    landings = [await disk.landing(name) for name in ("a", "b")]
    (tmp_path / "hokusai.db").rename(tmp_path / "elsewhere.db")
    outcomes = await disk.land(*landings)
    assert all(isinstance(outcome, errors.HokusaiError) for outcome in outcomes)
    await disk.open.aclose()
    assert disk.there() == set()
