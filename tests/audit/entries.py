"""Entries of the audit trail, and what a database holds of them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hokusai.audit import Entry
from hokusai.audit.table import trail
from hokusai.database import Database


def entry(number: int, **facts: Any) -> Entry:
    """A refusal of a stranger, unless ``facts`` say otherwise."""
    given: dict[str, Any] = {
        "at": datetime.now(UTC),
        "request_id": str(number),
        "address": "192.0.2.1",
        "method": "GET",
        "path": "/",
        "status": 404,
        "code": "HK1001",
        "seconds": 0.1,
        **facts,
    }
    return Entry(**given)


async def migrated(place: Path) -> Database:
    database = Database(f"sqlite:///{place / 'hokusai.db'}")
    await database.migrate()
    return database


async def rows(database: Database) -> list[sa.Row[Any]]:
    return list(await database.rows(sa.select(trail).order_by(trail.c.id)))
