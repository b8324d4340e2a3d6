"""Changes that begin, end, are refused, or are interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from hokusai import errors
from hokusai.audit import Changes, Entry, Recording, write
from hokusai.audit.changes import UNKNOWN
from hokusai.audit.table import begun, trail
from hokusai.database import Database


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'hokusai.db'}"
    else:
        url = request.getfixturevalue("postgres").create_database()
    found = Database(url)
    await found.migrate()
    yield found
    await found.close()


def entry(request_id: str, status: int = 0) -> Entry:
    return Entry(
        at=datetime.now(UTC),
        request_id=request_id,
        address="192.0.2.1",
        method="POST",
        path="/api/2.0/mlflow/runs/create",
        status=status,
        seconds=0.1,
        key_id="key-1",
        workspace="acme",
        action="run.create",
        details={"agent": "a client"},
    )


async def rows(database: Database) -> list[tuple[str, int]]:
    found = await database.rows(sa.select(trail.c.request_id, trail.c.status).order_by(trail.c.id))
    return [tuple(row) for row in found]


async def unfinished(database: Database) -> list[str]:
    return [row.request_id for row in await database.rows(sa.select(begun.c.request_id))]


async def test_a_change_that_ended_has_one_row(database: Database) -> None:
    changes = Changes(database, longest=0)
    await changes.begin(entry("one"))
    assert await unfinished(database) == ["one"]
    await changes.end(entry("one", 200))
    assert (await rows(database), await unfinished(database)) == ([("one", 200)], [])
    assert await changes.settle() == 0
    await changes.close()


async def test_a_change_that_was_refused_leaves_nothing(database: Database) -> None:
    changes = Changes(database, longest=0)
    await changes.begin(entry("one"))
    changes.cancel("one")
    await changes.close()
    assert (await rows(database), await unfinished(database)) == ([], [])


async def test_an_interrupted_change_gets_a_row_that_says_so(database: Database) -> None:
    killed = Changes(database)
    await killed.begin(entry("old"))
    await killed.begin(entry("answered"))
    await killed.close()
    async with database.begin() as connection:  # the row of its outcome came another way, while the database was down
        await connection.execute(trail.insert().values(**entry("answered", 200).row()))
    assert await Changes(database).settle() == 0, "it may still be going on"
    assert await Changes(database, longest=0).settle() == 1, "the other one has its row"
    assert (await rows(database), await unfinished(database)) == ([("answered", 200), ("old", 0)], [])
    (details,) = [row.details for row in await database.rows(sa.select(trail.c.details).where(trail.c.status == 0))]
    assert UNKNOWN in details
    assert "a client" in details


async def test_a_server_that_is_alone_finds_them_at_its_start(database: Database) -> None:
    killed = Changes(database)
    await killed.begin(entry("one"))
    await killed.close()
    for alone, there in ((False, []), (True, [("one", 0)])):
        started = Changes(database, alone=alone)
        await started.start()
        await started.close()
        assert await rows(database) == there


async def test_many_at_once_share_few_transactions(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = Changes(database)
    written = changes._write
    batches: list[int] = []
    monkeypatch.setattr(changes, "_write", lambda steps: (batches.append(len(steps)), written(steps)))
    await asyncio.gather(*(changes.end(entry(str(number), 200)) for number in range(100)))
    await changes.close()
    assert sum(batches) == 100 == len(await rows(database))
    assert len(batches) <= 3


async def test_what_cannot_be_recorded_must_not_begin(database: Database) -> None:
    changes = Changes(database)
    async with database.begin() as connection:
        await connection.execute(sa.text("DROP TABLE hokusai_audit_begun"))
    with pytest.raises(errors.Unavailable):
        await changes.begin(entry("one"))
    await changes.close()


async def test_a_row_is_there_with_its_change_or_not_at_all(database: Database) -> None:
    recording = Recording(lambda: entry("one", 200))

    def change(connection: sa.Connection, *, fails: bool) -> None:
        write(connection, [recording, None])
        if fails:
            raise errors.Internal()

    with pytest.raises(errors.Internal):
        await database.run(lambda connection: change(connection, fails=True))
    assert await rows(database) == []
    await database.run(lambda connection: change(connection, fails=False))
    assert await rows(database) == [("one", 200)]


def test_an_entry_survives_its_json() -> None:
    import json

    one = replace(entry("one", 200), bytes=7, subject="model é", within="x")
    assert Entry.read(json.dumps(one.document())) == one
