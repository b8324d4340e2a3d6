"""The ledger on SQLite and PostgreSQL: what is recorded, what is deleted, and in which order."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hokusai import errors
from hokusai.artifacts import Ledger, Place, Record, Stat, Written
from hokusai.artifacts.record import ExpectedVersion, PendingRecord
from hokusai.audit import Recording
from hokusai.database import Database
from hokusai.identity import Quota, Use
from tests.artifacts.service import create_tables
from tests.audit.entries import entry, rows
from tests.postgres import Postgres

NOW = datetime(2026, 3, 4, 5, 6, 7, 891011, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'hokusai.db'}"
    else:
        url = request.getfixturevalue("postgres").create_database()
    create_tables(url)
    found = Database(url)
    yield found
    await found.close()


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


Commit = Callable[[], None]
Stores = Callable[[Ledger, PendingRecord, Commit], Awaitable[None]]


def settled(_name: str, _key: str) -> bool:
    """Every file that was recorded has its own name."""
    return False


async def at_once(ledger: Ledger, file: PendingRecord, commit: Commit) -> None:
    (outcome,) = await asyncio.to_thread(ledger.record, [replace(file, prepare=commit)], settled)
    if isinstance(outcome, errors.HokusaiError):
        raise outcome


async def slowly(ledger: Ledger, file: PendingRecord, commit: Commit) -> None:
    async with ledger.recording(file):
        await asyncio.to_thread(commit)


@pytest.fixture(params=[at_once, slowly])
def stores(request: pytest.FixtureRequest) -> Stores:
    """Both ways in which a file is committed and recorded."""
    way: Stores = request.param
    return way


def file(place: Place, written: Written, key_id: str, expected: ExpectedVersion | None = None) -> PendingRecord:
    return PendingRecord(place, written, key_id, Quota(), expected)


def at(path: str, workspace: str = "acme") -> Place:
    return Place(path, workspace, path)


async def record(
    ledger: Ledger, place: Place, *, size: int = 1, sha256: str = "a" * 64, created: datetime = NOW
) -> None:
    await at_once(ledger, file(place, Written(size, sha256, created), "key-1"), lambda: None)


async def delete(ledger: Ledger, place: Place) -> int:
    return await ledger.delete(place, await ledger.intend_deletion(place))


async def test_there_and_back(ledger: Ledger) -> None:
    assert await ledger.find(at("a/b")) is None
    await record(ledger, at("a/b"), size=1 << 40)
    assert await ledger.find(at("a/b")) == Record(1 << 40, "a" * 64, NOW, "key-1")
    assert await ledger.find(at("a/b", "beta")) is None
    assert await ledger.find(at("a/B")) is None


async def test_a_record_describes_one_file_alone(ledger: Ledger) -> None:
    await record(ledger, at("a"), size=5)
    found = await ledger.find(at("a"))
    assert found is not None
    assert found.describes(Stat(5, NOW))
    assert not found.describes(Stat(6, NOW))
    assert not found.describes(Stat(5, NOW + timedelta(microseconds=1)))


async def test_the_last_one_counts(ledger: Ledger) -> None:
    await record(ledger, at("a"), size=1)
    await record(ledger, at("a"), size=2, sha256="b" * 64, created=LATER)
    assert await ledger.find(at("a")) == Record(2, "b" * 64, LATER, "key-1")


async def test_both_ways_leave_the_same_record(ledger: Ledger, stores: Stores) -> None:
    for size, created in ((1, NOW), (2, LATER)):
        await stores(ledger, file(at("a"), Written(size, "b" * 64, created), "key-2"), lambda: None)
        assert await ledger.find(at("a")) == Record(size, "b" * 64, created, "key-2")
        assert await ledger.use_and_size(at("a")) == (Use(bytes=size, files=1, names=1), size)


async def test_a_file_that_was_not_committed_has_no_record(ledger: Ledger, stores: Stores) -> None:
    def fails() -> None:
        raise errors.ArtifactStoreFull

    await record(ledger, at("old"))
    for place in (at("new"), at("old")):
        with pytest.raises(errors.ArtifactStoreFull):
            await stores(ledger, file(place, Written(9, "b" * 64, LATER), "key-2"), fails)
    assert await ledger.find(at("new")) is None
    assert await ledger.find(at("old")) == Record(1, "a" * 64, NOW, "key-1")
    assert await ledger.use_and_size(at("old")) == (Use(bytes=1, files=1, names=1), 1)


async def test_a_version_other_than_the_expected_one_is_not_replaced(ledger: Ledger, stores: Stores) -> None:
    await record(ledger, at("a"))
    for expected in (ExpectedVersion(None), ExpectedVersion("b" * 64)):
        with pytest.raises(errors.ConditionFailed):
            await stores(ledger, file(at("a"), Written(2, "c" * 64, LATER), "key-2", expected), pytest.fail)
    await stores(ledger, file(at("a"), Written(2, "c" * 64, LATER), "key-2", ExpectedVersion("a" * 64)), lambda: None)


async def test_of_files_recorded_together_the_refused_ones_are_left_out(ledger: Ledger) -> None:
    there: list[str] = []

    def one(name: str, size: int) -> PendingRecord:
        written = Written(size, "a" * 64, NOW)
        return PendingRecord(at(name), written, "key-1", Quota(bytes=10), prepare=lambda: there.append(name))

    refusals = ledger.record([one("a", 6), one("b", 5), one("c", 4)], settled)
    assert [type(refusal) for refusal in refusals] == [type(None), errors.BytesQuotaExceeded, type(None)]
    assert there == ["a", "c"]
    assert await ledger.find(at("b")) is None
    assert (await ledger.use_and_size(at("b")))[0] == Use(bytes=10, files=2, names=2)


async def test_nobody_records_between_a_file_that_cannot_be_committed_and_its_neighbours(
    database: Database, ledger: Ledger
) -> None:
    """The lock covers the first read and the last count: what was found to fit is what is counted."""
    other, outcome = Ledger(database), list[object]()

    def one(name: str, size: int, commit: Commit) -> PendingRecord:
        return PendingRecord(at(name), Written(size, "a" * 64, NOW), "key-1", Quota(bytes=10), prepare=commit)

    def rival() -> None:
        outcome.extend(other.record([one("rival", 8, lambda: None)], settled))

    def commits() -> None:
        waiting.start()
        time.sleep(0.2)

    def cannot() -> None:
        raise errors.ArtifactPathTaken(reason="a directory has this name")

    waiting = threading.Thread(target=rival)
    faults = await asyncio.to_thread(
        ledger.record, [one("a", 6, commits), one("b", 1, cannot), one("c", 1, lambda: None)], settled
    )
    await asyncio.to_thread(waiting.join)
    assert [type(fault) for fault in faults] == [type(None), errors.ArtifactPathTaken, type(None)]
    assert [type(fault) for fault in outcome] == [errors.BytesQuotaExceeded]
    assert [await ledger.find(at(name)) is not None for name in ("a", "b", "c", "rival")] == [True, False, True, False]
    assert (await ledger.use_and_size(at("x")))[0] == Use(bytes=7, files=2, names=2)


async def test_two_files_are_committed_to_one_path_in_the_order_of_their_records(
    ledger: Ledger, stores: Stores
) -> None:
    order: list[str] = []
    started = threading.Event()

    def first() -> None:
        started.set()
        time.sleep(0.2)
        order.append("first")

    task = asyncio.create_task(stores(ledger, file(at("a"), Written(1, "a" * 64, NOW), "key-1"), first))
    await asyncio.to_thread(started.wait)
    second = file(at("a"), Written(2, "b" * 64, LATER), "key-2")
    await stores(ledger, second, lambda: order.append("second"))
    await task
    assert order == ["first", "second"]
    assert await ledger.find(at("a")) == Record(2, "b" * 64, LATER, "key-2")


async def test_a_reader_that_waits_for_a_change_never_stops_it(ledger: Ledger, stores: Stores) -> None:
    """Either of the two locks may be the one that the change takes first."""
    await record(ledger, at("a"))
    begun = threading.Event()

    def commit() -> None:
        begun.set()
        time.sleep(0.3)

    change = asyncio.create_task(stores(ledger, file(at("a"), Written(2, "b" * 64, LATER), "key-1"), commit))
    await asyncio.to_thread(begun.wait)
    found = await ledger.find_committed(at("a"))
    await change
    assert found is not None
    assert found.size == 2


async def test_a_deletion_takes_a_path_and_what_is_below_it(ledger: Ledger) -> None:
    below = ["m", "m/a", "m/b/c", "m/é", "m/%", "m/~"]
    beside = ["m2", "M", "M/a", "m.x", "m-", "m0", "m_/a", "%", "_", "n/m", "l"]
    for path in below + beside:
        await record(ledger, at(path))
    await record(ledger, at("m/a", "beta"))
    assert await delete(ledger, at("m")) == len(below)
    assert await delete(ledger, at("m")) == 0
    assert [path for path in below if await ledger.find(at(path))] == []
    assert [path for path in beside if not await ledger.find(at(path))] == []
    assert await ledger.find(at("m/a", "beta"))


@pytest.mark.parametrize("path", ["%", "_", "a%", "é", "日本"])
async def test_no_letter_is_a_pattern(ledger: Ledger, path: str) -> None:
    for name in (path, "b", "bb", "ab", "e", "x/y"):
        await record(ledger, at(name))
    assert await delete(ledger, at(path)) == 1


async def test_what_was_uploaded_after_the_deletion_began_is_kept(ledger: Ledger) -> None:
    await record(ledger, at("m/old"))
    intent = await ledger.intend_deletion(at("m"))
    await record(ledger, at("m/new"), created=datetime.now(UTC))
    assert await ledger.delete(at("m"), intent) == 1
    assert await ledger.find(at("m/new"))


@pytest.mark.parametrize("removed", [True, False])
@pytest.mark.parametrize("is_recorded", [True, False])
async def test_a_deletion_is_in_the_trail_where_it_deleted_something(
    ledger: Ledger, database: Database, removed: bool, is_recorded: bool
) -> None:
    """An object, or the record of one that an earlier deletion removed before its server was killed."""
    if is_recorded:
        await record(ledger, at("m/file"))
    recording = Recording(lambda: entry(1))
    intent = await ledger.intend_deletion(at("m"))
    assert await ledger.delete(at("m"), intent, recording, removed=removed) == is_recorded
    assert len(await rows(database)) == (removed or is_recorded)


async def test_no_file_is_recorded_during_a_deletion(ledger: Ledger, stores: Stores) -> None:
    """Otherwise it would stay, and not count."""
    await record(ledger, at("m/old"))
    order: list[str] = []
    new = file(at("m/new"), Written(2, "b" * 64, NOW), "key-2")
    async with ledger.deleting(at("m")) as gone:
        task = asyncio.create_task(stores(ledger, new, lambda: order.append("committed")))
        await asyncio.sleep(0.1)
        order.append("deleted")
    await task
    assert (len(gone), order) == (1, ["deleted", "committed"])
    assert await ledger.find(at("m/old")) is None
    assert await ledger.find(at("m/new"))


async def test_what_could_not_be_deleted_keeps_its_record(ledger: Ledger) -> None:
    await record(ledger, at("m/old"))
    with pytest.raises(errors.ArtifactStoreDown):
        async with ledger.deleting(at("m")):
            raise errors.ArtifactStoreDown()
    assert await ledger.find(at("m/old"))


async def test_a_slow_bucket_takes_nobody_elses_connection(postgres: Postgres) -> None:
    url = postgres.create_database()
    create_tables(url)
    everybody, long_transactions = Database(url, pool_size=1), Database(url, pool_size=3)
    ledger = Ledger(everybody, long_transactions)
    async with contextlib.AsyncExitStack() as slow:
        slow.push_async_callback(everybody.close)
        slow.push_async_callback(long_transactions.close)
        for name in "abc":
            written = Written(1, "a" * 64, NOW)
            await slow.enter_async_context(ledger.recording(file(at(name), written, "key-1")))
        async with asyncio.timeout(2):
            assert await ledger.find(at("a")) is None


async def test_without_the_database_no_file_is_committed(own_postgres: Postgres, stores: Stores) -> None:
    url = own_postgres.create_database()
    create_tables(url)
    database = Database(url)
    ledger = Ledger(database)
    one = file(at("a"), Written(1, "a" * 64, NOW), "key-1")
    with pytest.raises(errors.DatabaseDown if stores is at_once else errors.OutcomeUnknown):
        await stores(ledger, one, own_postgres.stop)
    with pytest.raises(errors.DatabaseDown):
        await stores(ledger, one, pytest.fail)
    with pytest.raises(errors.DatabaseDown):
        await ledger.find(at("a"))
    with pytest.raises(errors.DatabaseDown):
        await delete(ledger, at("a"))
    own_postgres.start()
    assert await ledger.find(at("a")) is None
    await database.close()
