"""The audit trail is searched by index, in SQLite and in PostgreSQL: pages, filters, and the plans behind them."""

from __future__ import annotations

import itertools
import os
import random
import statistics
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hokusai.audit import AuditSearch, Filter, Position
from hokusai.audit.search import statements
from hokusai.audit.table import trail
from hokusai.database import Database

START = datetime(2026, 11, 1, tzinfo=UTC)
#: A filter of each kind, and of several together.
FILTERS = {
    "nothing": Filter(),
    "workspace": Filter(workspace="team-7"),
    "key": Filter(key="key_0000000000000703"),
    "user": Filter(user="user-7"),
    "subject": Filter(subject="model-7"),
    "version": Filter(subject="version:model-7/3"),
    "action": Filter(action="key.create"),
    "request": Filter(request_id="r77"),
    "since": Filter(since=START + timedelta(seconds=500)),
    "until": Filter(until=START + timedelta(seconds=500)),
    "workspace and action": Filter(workspace="team-7", action="key.create"),
    "workspace, key and time": Filter(
        workspace="team-7", key="key_0000000000000703", since=START, until=START + timedelta(days=9)
    ),
    "workspace and subject": Filter(workspace="team-7", subject="model:model-7"),
    "nobody": Filter(key="key_0000000000000000"),
    "rare in a large workspace": Filter(workspace="team-0", action="alias.set"),
}


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'hokusai.db'}"
    else:
        url = request.getfixturevalue("postgres").create_database()
    database = Database(url)
    await database.migrate()
    yield database
    await database.close()


def row(number: int, count: int) -> dict[str, Any]:
    """Of ``count`` rows over 20 days: team-0 has a third of them, and nobody sets an alias in it."""
    chance = random.Random(number)
    team = 0 if number % 3 == 0 else chance.randrange(1, 50)
    model, version = chance.randrange(200), chance.randrange(1, 50)
    action = chance.choice(["run.log", "run.log", "run.update", "artifact.upload", "key.create", "version.create"])
    if team and number % 10_000 == 1:
        action = "alias.set"
    return {
        "at": START + timedelta(days=20) * (number / count),
        "request_id": f"r{number}",
        "key_id": f"key_{team:014x}{chance.randrange(10):02x}",
        "user_id": f"user-{team}",
        "workspace": f"team-{team}",
        "address": "192.0.2.1",
        "method": "POST",
        "path": "/api/2.0/mlflow/model-versions/create",
        "status": 200,
        "seconds": 0.01,
        "action": action,
        "subject_type": "version",
        "subject": f"model-{model}/{version}",
        "within": f"model-{model}",
    }


async def fill(database: Database, count: int) -> None:
    numbers = iter(range(count))
    while batch := list(itertools.islice(numbers, 20_000)):
        rows = [row(number, count) for number in batch]
        with database.blocking() as connection:  # on this thread, without a time-out
            if database.is_sqlite:
                connection.exec_driver_sql("PRAGMA cache_size = -400000")
            connection.execute(trail.insert(), rows)


def fits(which: Filter, one: Any) -> bool:
    """The filter, read the slow way."""
    subject = (which.subject or "").rpartition(":")[2]
    return (
        all(
            wanted is None or wanted == getattr(one, name)
            for name, wanted in (
                ("workspace", which.workspace),
                ("key_id", which.key),
                ("user_id", which.user),
                ("action", which.action),
                ("request_id", which.request_id),
            )
        )
        and (not subject or subject in {one.subject, one.within})
        and (which.since is None or one.at >= which.since)
        and (which.until is None or one.at < which.until)
    )


async def test_pages_are_complete_and_in_order(database: Database) -> None:
    await fill(database, 2000)
    everything = await database.rows(sa.select(trail).order_by(trail.c.at, trail.c.id))
    search = AuditSearch(database)
    for name, which in FILTERS.items():
        expected = [one.id for one in everything if fits(which, one)]
        for oldest_first in (True, False):
            found: list[int] = []
            after = None
            while page := await search.page(which, limit=97, after=after, oldest_first=oldest_first):
                found += [one.id for one in page]
                after = Position(page[-1].at, page[-1].id)
            assert found == (expected if oldest_first else expected[::-1]), name


async def test_rows_of_one_instant_are_not_lost_between_pages(database: Database) -> None:
    rows = [row(number, 50) | {"at": START} for number in range(50)]
    await database.run(lambda connection: connection.execute(trail.insert(), rows))
    search, found, after = AuditSearch(database), [], None
    while page := await search.page(Filter(), limit=7, after=after):
        found += [one.id for one in page]
        after = Position(page[-1].at, page[-1].id)
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 50


def plan(database: Database, connection: sa.Connection, query: sa.Select[Any]) -> str:
    text = query.compile(connection, compile_kwargs={"literal_binds": True})
    explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
    return "\n".join(str(one[-1]) for one in connection.exec_driver_sql(f"{explain} {text}".replace("%", "%%")))


@pytest.mark.parametrize("name", FILTERS)
async def test_every_search_walks_along_an_index(name: str, tmp_path: Path) -> None:
    """No table is read as a whole, and nothing is sorted: the time does not grow with the table."""
    database = Database(f"sqlite:///{tmp_path / 'hokusai.db'}")
    await database.migrate()
    for after in (None, Position(START, 5)):
        for oldest_first in (True, False):
            for query in statements(FILTERS[name], limit=100, after=after, oldest_first=oldest_first):
                shown = await database.run(lambda connection, query=query: plan(database, connection, query))
                assert "USING INDEX ix_hokusai_audit_" in shown, shown
                assert "SCAN" not in shown.replace("SCAN hokusai_audit USING INDEX ix_hokusai_audit_at", ""), shown
                if FILTERS[name].request_id is None:
                    assert "TEMP B-TREE" not in shown.replace("FOR LAST TERM OF ORDER BY", ""), shown
    await database.close()


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_a_million_rows_are_searched_in_20_milliseconds(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prints the times and the plans: ``pytest -s``."""
    count = int(os.environ.get("HOKUSAI_AUDIT_ROWS", "1000000"))
    await fill(database, count)
    if not database.is_sqlite:
        await database.run(lambda connection: connection.exec_driver_sql("ANALYZE hokusai_audit"))
    search, slow = AuditSearch(database), []
    for name, which in FILTERS.items():
        seconds = []
        for _ in range(7):
            start = time.perf_counter()
            page = await search.page(which, limit=101)
            seconds.append(time.perf_counter() - start)
        half = statistics.median(seconds) * 1000
        with capsys.disabled():
            print(f"\n{'sqlite' if database.is_sqlite else 'postgresql'} {name}: {half:.1f} ms, {len(page)} rows")
            for query in statements(which, limit=101):
                print("   ", (await database.run(lambda connection, q=query: plan(database, connection, q))))
        if half > 20:
            slow.append(f"{name}: {half:.1f} ms")
    assert not slow
