"""Files that are committed together: each has its own outcome, on a real disk and in a real database."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from hokusai import errors
from hokusai.artifacts import Ledger, LocalStore, Place, Written
from hokusai.artifacts.group_commit import GroupCommit, PendingFile
from hokusai.artifacts.record import ExpectedVersion
from hokusai.artifacts.settling import Settling
from hokusai.artifacts.stores.posix.upload import SMALL, LocalUpload
from hokusai.database import Database
from hokusai.identity import Quota, Use
from tests.artifacts.service import create_tables


class Disk:
    """A store, its ledger, and staged uploads."""

    def __init__(self, root: Path, ledger: Ledger) -> None:
        self.root = root
        self.store = LocalStore(os.fsencode(root))
        self.ledger = ledger
        self.settling = Settling(self.store, ledger)
        self.group_commit = GroupCommit(ledger, self.store.staging, self.settling.add_files)
        self.open = AsyncExitStack()

    async def staged(
        self,
        path: str,
        content: bytes = b"content",
        *,
        digests: tuple[str, ...] = (),
        expected: ExpectedVersion | None = None,
        limit: int | None = None,
    ) -> PendingFile:
        upload = await self.open.enter_async_context(self.store.upload(path))
        assert isinstance(upload, LocalUpload)
        await upload.write([content])
        staged = await upload.stage()
        return PendingFile(Place(path, "acme", path), "key-1", Quota(bytes=limit), digests, expected, staged)

    async def commit(self, *files: PendingFile) -> list[Written | BaseException]:
        return await asyncio.gather(*map(self.group_commit.commit, files), return_exceptions=True)

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
    await disk.group_commit.close()
    await disk.open.aclose()
    await disk.store.close()
    await database.close()


async def test_each_has_its_own_outcome(disk: Disk) -> None:
    await disk.commit(await disk.staged("old"))
    (disk.root / "taken").mkdir()
    files = [
        await disk.staged("a"),
        await disk.staged("taken"),
        await disk.staged("b", digests=("0" * 64,)),
        await disk.staged("c", b"x" * 100, limit=50),
        await disk.staged("old", expected=ExpectedVersion("0" * 64)),
        await disk.staged("d/e/f"),
    ]
    expected = [
        Written,
        errors.ArtifactPathTaken,
        errors.DigestMismatch,
        errors.BytesQuotaExceeded,
        errors.ConditionFailed,
        Written,
    ]
    assert [type(outcome) for outcome in await disk.commit(*files)] == expected
    await disk.open.aclose()
    assert disk.there() == {"old", "a", "d/e/f"}
    assert (await disk.ledger.use_and_size(Place("x", "acme", "x")))[0] == Use(bytes=21, files=3, names=5)


async def test_one_that_cannot_be_committed_takes_none_with_it(disk: Disk) -> None:
    """That is found in the middle of the transaction: the records of the others are written again."""
    files = [await disk.staged(name) for name in ("a", "b", "c")]
    files[1].staged.flush()  # its name was free then
    (disk.root / "b").mkdir()
    (disk.root / "b" / "inside").touch()
    first, second, third = await disk.commit(*files)
    assert isinstance(first, Written)
    assert isinstance(second, errors.ArtifactPathTaken)
    assert isinstance(third, Written)
    found = [await disk.ledger.find(Place(name, "acme", name)) for name in ("a", "b", "c")]
    assert [record is not None for record in found] == [True, False, True]


async def test_several_at_one_place_are_committed_in_turn(disk: Disk) -> None:
    contents = [bytes([number]) * (number + 1) for number in range(10)]
    files = [await disk.staged("same", content) for content in contents]
    outcomes = await disk.commit(*files)
    assert all(isinstance(outcome, Written) for outcome in outcomes)
    record = await disk.ledger.find(Place("same", "acme", "same"))
    assert record is not None
    assert record.size == (disk.root / "same").stat().st_size == 10
    assert (await disk.ledger.use_and_size(Place("x", "acme", "x")))[0] == Use(bytes=10, files=1, names=1)


async def test_a_request_that_ended_before_its_turn_leaves_nothing(disk: Disk) -> None:
    file = await disk.staged("gone")
    task = asyncio.create_task(disk.group_commit.commit(file))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await disk.commit(await disk.staged("next"))
    await disk.open.aclose()
    assert disk.there() == {"next"}


async def test_a_request_that_is_being_ended_has_no_turn(disk: Disk) -> None:
    ended = replace(await disk.staged("ended"), begin=lambda: False)
    task = asyncio.create_task(disk.group_commit.commit(ended))
    (written,) = await disk.commit(await disk.staged("other"))
    assert isinstance(written, Written)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await disk.open.aclose()
    assert disk.there() == {"other"}


@pytest.mark.parametrize("size", [0, 1, SMALL, SMALL + 1, 5 * SMALL])
async def test_of_any_size(disk: Disk, size: int) -> None:
    content = os.urandom(size)
    (written,) = await disk.commit(await disk.staged("file", content))
    assert isinstance(written, Written)
    assert written.size == size
    assert (disk.root / "file").read_bytes() == content
    await disk.open.aclose()
    assert disk.there() == {"file"}


async def test_without_the_database_no_file_becomes_visible(disk: Disk, tmp_path: Path) -> None:
    files = [await disk.staged(name) for name in ("a", "b")]
    (tmp_path / "hokusai.db").rename(tmp_path / "elsewhere.db")
    outcomes = await disk.commit(*files)
    assert all(isinstance(outcome, errors.HokusaiError) for outcome in outcomes)
    await disk.open.aclose()
    assert disk.there() == set()


class LostCommits:
    """The database of a ledger, which fails when it is asked to commit: before or after it has done so.

    For ``silent`` more calls, it does not answer at all.
    """

    def __init__(self, ledger: Ledger, *, commits: bool, silent: int = 0) -> None:
        self._blocking = ledger._database.blocking
        self._commits = commits
        self._fails = True
        self._silent = silent

    @contextmanager
    def __call__(self) -> Iterator[sa.Connection]:
        if not self._fails and self._silent:
            self._silent -= 1
            raise errors.DatabaseDown()
        with suppress(_NeverCommitted), self._blocking() as connection:
            yield connection
            if self._fails and not self._commits:
                raise _NeverCommitted
        if self._fails:
            self._fails = False
            raise errors.DatabaseDown()


class _NeverCommitted(Exception): ...


async def test_a_commit_whose_answer_was_lost_is_a_commit(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    await disk.commit(await disk.staged("file", b"old"))
    monkeypatch.setattr(disk.ledger._database, "blocking", LostCommits(disk.ledger, commits=True))
    (outcome,) = await disk.commit(await disk.staged("file", b"new"))
    assert isinstance(outcome, Written)
    await disk.open.aclose()
    assert (disk.root / "file").read_bytes() == b"new"
    assert disk.there() == {"file"}


async def test_a_commit_that_failed_has_changed_nothing(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    await disk.commit(await disk.staged("file", b"old"))
    monkeypatch.setattr(disk.ledger._database, "blocking", LostCommits(disk.ledger, commits=False))
    (outcome,) = await disk.commit(await disk.staged("file", b"newer"))
    assert isinstance(outcome, errors.DatabaseDown)
    await disk.open.aclose()
    assert (disk.root / "file").read_bytes() == b"old"
    assert disk.there() == {"file"}
    assert (await disk.ledger.use_and_size(Place("x", "acme", "x")))[0] == Use(bytes=3, files=1, names=1)


@pytest.mark.parametrize("commits", [True, False])
async def test_what_nobody_knows_is_settled_when_the_database_is_back(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, commits: bool
) -> None:
    await disk.commit(await disk.staged("file", b"old"))
    monkeypatch.setattr(disk.ledger._database, "blocking", LostCommits(disk.ledger, commits=commits, silent=2))
    (outcome,) = await disk.commit(await disk.staged("file", b"newer"))
    assert isinstance(outcome, errors.OutcomeUnknown)
    await disk.open.aclose()
    assert (disk.root / "file").read_bytes() == b"old"
    await disk.settling._round()  # it is still silent
    assert (disk.root / "file").read_bytes() == b"old"
    await disk.settling._round()
    assert (disk.root / "file").read_bytes() == (b"newer" if commits else b"old")
    assert disk.there() == {"file"}
    await disk.settling.close()


async def test_a_file_that_cannot_get_its_name_is_recorded_no_longer(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory has taken the name after the transaction had looked."""
    await disk.commit(await disk.staged("file", b"old"))
    for place, there in (("file", b"old"), ("new", None)):
        file = await disk.staged(place, b"newer")
        (disk.root / place).unlink(missing_ok=True)
        monkeypatch.setattr(type(file.staged), "prepare", lambda self: None)
        (disk.root / place).mkdir()
        (outcome,) = await disk.commit(file)
        assert isinstance(outcome, errors.ArtifactPathTaken)
        record = await disk.ledger.find(Place(place, "acme", place))
        assert (record and record.size) == (there and len(there))
    assert (await disk.ledger.use_and_size(Place("x", "acme", "x")))[0] == Use(bytes=3, files=1, names=1)


async def test_an_unfinished_upload_gets_its_name_before_another_replaces_it(disk: Disk) -> None:
    """The first one's process stopped after its commit; its rename comes after the second one's."""
    first = await disk.staged("file", b"first")
    written = first.staged.finish()
    disk.ledger.record([first.record(written)], disk.store.staging.settle_now)
    (outcome,) = await disk.commit(await disk.staged("file", b"second"))
    assert isinstance(outcome, Written)
    first.staged.commit()
    assert (disk.root / "file").read_bytes() == b"second"
