"""The audit trail: complete while the database works, bounded while it does not, and not stopped by one bad row."""

from __future__ import annotations

import asyncio
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hokusai.audit import AuditTrail
from hokusai.audit.trail import trail
from hokusai.database import Database


def line(number: int, **facts: Any) -> dict[str, Any]:
    return {
        "at": datetime.now(UTC),
        "request_id": str(number),
        "key_id": None,
        "user_id": None,
        "workspace": None,
        "address": "192.0.2.1",
        "method": "GET",
        "path": "/",
        "status": 404,
        "code": "HK1001",
        "permission": None,
        "seconds": 0.1,
        **facts,
    }


async def rows(database: Database) -> list[str]:
    async with database.begin() as connection:
        return list((await connection.execute(sa.select(trail.c.request_id))).scalars())


async def migrated(place: Path) -> Database:
    database = Database(f"sqlite:///{place / 'hokusai.db'}")
    await database.migrate()
    return database


async def test_lines_and_rows_are_complete_after_close(tmp_path: Path) -> None:
    database, stream = await migrated(tmp_path), io.StringIO()
    audit = AuditTrail(database, stream=stream)
    await audit.start()
    for number in range(500):
        audit.note(line(number))
    await audit.close()
    assert len(await rows(database)) == len([json.loads(text) for text in stream.getvalue().splitlines()]) == 500
    await database.close()


async def test_a_row_that_cannot_be_stored_does_not_end_the_trail(tmp_path: Path) -> None:
    database, stream = await migrated(tmp_path), io.StringIO()
    audit = AuditTrail(database, stream=stream)
    await audit.start()
    audit.note(line(1, status="not a number", method=None))
    while "not a number" not in stream.getvalue():
        await asyncio.sleep(0.01)
    audit.note(line(2))
    await audit.close()
    assert "2" in await rows(database)
    assert len(stream.getvalue().splitlines()) == 2
    await database.close()


async def test_a_flood_of_strangers_leaves_room_for_what_matters(tmp_path: Path) -> None:
    database = await migrated(tmp_path)
    audit = AuditTrail(database, stream=io.StringIO(), max_waiting=10)
    for number in range(100):
        audit.note(line(number))
    audit.note(line(1000, key_id="key_1"))
    await audit.start()
    await audit.close()
    assert await rows(database) == ["0", "1", "2", "3", "4", "1000"]
    await database.close()
