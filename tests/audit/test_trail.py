"""The audit trail: complete while the database works, bounded while it does not, and not stopped by one bad row."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any

from hokusai import errors
from hokusai.audit import AuditTrail, Merge
from hokusai.database import Database
from tests.audit.entries import entry, migrated, rows


async def ids(database: Database) -> list[str]:
    return [row.request_id for row in await rows(database)]


def by_stranger(address: str = "192.0.2.1") -> Merge:
    return Merge("stranger", (address, "HK1001"))


class Down(Database):
    """A database that does not answer until it is told to."""

    down = True

    async def run(self, work: Any) -> Any:
        if self.down:
            raise errors.DatabaseDown
        return await super().run(work)


async def test_lines_and_rows_are_complete_after_close(tmp_path: Path) -> None:
    database, stream = await migrated(tmp_path), io.StringIO()
    audit = AuditTrail(database, stream=stream)
    await audit.start()
    for number in range(500):
        audit.note(entry(number))
    await audit.close()
    assert len(await rows(database)) == len([json.loads(text) for text in stream.getvalue().splitlines()]) == 500
    await database.close()


async def test_a_row_that_cannot_be_stored_takes_no_other_with_it(tmp_path: Path) -> None:
    database, stream = await migrated(tmp_path), io.StringIO()
    audit = AuditTrail(database, stream=stream)
    for number in range(20):
        audit.note(entry(number, method=None) if number == 7 else entry(number))
    await audit.start()
    while '"request_id": "19"' not in stream.getvalue():
        await asyncio.sleep(0.01)
    audit.note(entry(20))
    await audit.close()
    assert await ids(database) == [str(number) for number in range(21) if number != 7]
    assert len(stream.getvalue().splitlines()) == 21
    await database.close()


async def test_a_hundred_thousand_refusals_make_two_rows(tmp_path: Path) -> None:
    database, stream = await migrated(tmp_path), io.StringIO()
    audit = AuditTrail(database, stream=stream)
    await audit.start()
    for number in range(100_000):
        audit.note(entry(number, path=f"/{number}", details={"agent": "curl"}), by_stranger())
    await audit.close()
    first, merged = await rows(database)
    assert (first.request_id, first.path, first.times) == ("0", "/0", 1)
    assert (merged.times, merged.path, merged.status, merged.code) == (99_999, "(several)", 404, "HK1001")
    samples = json.loads(merged.details)["samples"]
    assert [sample["path"] for sample in samples] == ["/1", "/2", "/3"]
    assert samples[0] == {
        "request_id": "1",
        "address": "192.0.2.1",
        "method": "GET",
        "path": "/1",
        "agent": "curl",
    }
    assert [json.loads(text)["times"] for text in stream.getvalue().splitlines()] == [1, 99_999]
    await database.close()


async def test_many_addresses_share_a_row_and_leave_room_for_keys(tmp_path: Path) -> None:
    database = await migrated(tmp_path)
    audit = AuditTrail(database, stream=io.StringIO())
    for number in range(50_000):
        audit.note(entry(number, address=str(number)), by_stranger(str(number)))
    audit.note(entry(-1, key_id="key_1"), Merge("key", ("key_1", "HK1201")))
    await audit.start()
    await audit.close()
    found = await rows(database)
    assert len(found) <= 256 + 1 + 1 + 1  # of their own, for all further ones (the first and the rest), and the key's
    assert sum(row.times for row in found) == 50_001
    assert "-1" in {row.request_id for row in found}
    (rest,) = [row for row in found if row.times > 1]
    assert rest.address == "(several)"
    await database.close()


async def test_changes_are_kept_while_the_database_is_down_and_none_begins_when_the_queue_is_full(
    tmp_path: Path,
) -> None:
    await (await migrated(tmp_path)).close()
    database = Down(f"sqlite:///{tmp_path / 'hokusai.db'}")
    audit = AuditTrail(database, stream=io.StringIO(), max_waiting=10)
    await audit.start()
    for number in range(100):
        audit.note(entry(number, address=str(number)), by_stranger(str(number)))
    assert audit.dropped == 95
    assert not audit.is_full
    for number in range(1000, 1005):
        audit.note(entry(number, key_id="key_1", status=200))
    assert audit.is_full
    audit.note(entry(1005, key_id="key_1", status=200))  # it had begun before
    await asyncio.sleep(0.3)
    assert audit.is_full
    database.down = False
    await audit.close()
    assert await ids(database) == [*"01234", *map(str, range(1000, 1006))]
    await database.close()
