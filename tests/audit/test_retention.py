"""Rows older than the setting are deleted, in small batches; nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hokusai.audit import Retention, retention
from hokusai.audit.table import trail
from tests.audit.entries import entry, migrated, rows

NOW = datetime(2026, 11, 30, tzinfo=UTC)


async def test_old_rows_go_in_batches(tmp_path: Path, monkeypatch) -> None:
    database = await migrated(tmp_path)
    made = [entry(number, at=NOW - timedelta(days=number / 100)).row() for number in range(5000)]
    await database.run(lambda connection: connection.execute(trail.insert(), made))
    monkeypatch.setattr(retention, "_PAUSE", 0)
    one, other = (Retention(database, days=10, now=lambda: NOW) for _ in range(2))
    assert await one.sweep() == 5000 - 1001
    assert await other.sweep() == 0
    assert min(row.at for row in await rows(database)) == NOW - timedelta(days=10)
    assert await Retention(database, days=None, now=lambda: NOW).sweep() == 0
    assert len(await rows(database)) == 1001
    await database.close()


async def test_it_ends_when_the_server_does(tmp_path: Path) -> None:
    database = await migrated(tmp_path)
    task = Retention(database, days=1)
    await task.start()
    await task.close()
    await database.close()
