"""Ledger and store, compared while a server runs: what is put right, what is told, and how much it takes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import sqlalchemy as sa

from hokusai import quota
from hokusai.artifacts import BackgroundCheck, Kind, background_check, store_at
from hokusai.artifacts.store import ArtifactStore
from hokusai.database import Database
from tests.artifacts.service import create_tables
from tests.artifacts.stores.test_store import put

NOTHING = dict.fromkeys(map(str, Kind), 0)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ArtifactStore]:
    found = store_at((tmp_path / "store").as_uri())
    await found.start()
    yield found
    await found.close()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite:///{tmp_path / 'hokusai.db'}"
    create_tables(url)
    found = Database(url)
    yield found
    await found.close()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "fsck.lock"


async def test_what_is_harmless_is_put_right_and_the_rest_is_told(
    store: ArtifactStore, database: Database, lock: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "store/workspaces/acme/empty").mkdir(parents=True)
    await put(store, "workspaces/acme/planted", b"planted")
    wrong = quota.use.insert().values(workspace="acme", bytes=3, files=4, models=5, names=6, tracking_bytes=7)
    await database.run(lambda connection: connection.execute(wrong))
    told: list[Mapping[str, int]] = []
    check = BackgroundCheck(store, database, hours=24, first=0, lock=lock, on_findings=told.append)
    with caplog.at_level(logging.WARNING):
        await check.compare()
    assert told == [{**NOTHING, "unrecorded": 1}]
    assert not (tmp_path / "store/workspaces/acme/empty").exists()
    assert [tuple(row) for row in await database.rows(sa.select(quota.use))] == [("acme", 0, 0, 5, None, 7, 0)]
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert "(unrecorded: 1): run hokusai fsck" in lines[-1]


async def test_one_worker_of_several_compares(store: ArtifactStore, database: Database, lock: Path) -> None:
    """The others take its word, until half the time has passed."""
    done: list[str] = []

    def check(name: str) -> BackgroundCheck:
        return BackgroundCheck(store, database, hours=24, first=0, lock=lock, on_findings=lambda _: done.append(name))

    first, second = check("first"), check("second")
    await first._round()
    await second._round()
    assert done == ["first"]
    third = check("after a restart")
    third._started = lock.stat().st_mtime + 1
    await third._round()
    assert done == ["first", "after a restart"]


async def test_nobody_compares_beside_another_process(store: ArtifactStore, database: Database, lock: Path) -> None:
    done: list[Mapping[str, int]] = []
    check = BackgroundCheck(store, database, hours=24, first=0, lock=lock, on_findings=done.append)
    with background_check._alone(lock) as last:
        assert last == 0
        await check._round()
    assert done == []


async def test_it_runs_by_itself_unless_it_is_turned_off(store: ArtifactStore, database: Database, lock: Path) -> None:
    found = asyncio.Event()
    for hours in (0.0, 24.0):
        check = BackgroundCheck(store, database, hours=hours, first=0, lock=lock, on_findings=lambda _: found.set())
        await check.start()
        if hours:
            async with asyncio.timeout(10):
                await found.wait()
        else:
            await asyncio.sleep(0)
            assert not lock.exists()
        await check.close()


async def test_it_rests_for_many_times_as_long_as_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    now, rested = [0.0], []

    async def sleep(seconds: float) -> None:
        rested.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(background_check.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(background_check.asyncio, "sleep", sleep)
    pace = background_check._Pace()
    for worked in (0.1, 0.2, 100.0):
        now[0] += worked
        await pace.rest()
    assert rested == pytest.approx([1.9, 3.8, 120])
