"""The schemas in ``tests/golden/schema``: where they are, and how one is written.

``python -m tests.golden_schema`` writes the missing ones.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.script import ScriptDirectory

from hokusai import database
from hokusai.auth import fingerprint
from hokusai.auth.keys import Key, digest

PLACE = Path(__file__).parent / "golden" / "schema"
KEY = "hk_live_" + "0" * 38  # in no use; its checksum is wrong
_AT = "2026-01-02 03:04:05.000006+00:00"


def known() -> list[str]:
    """All revisions, oldest first."""
    scripts = ScriptDirectory.from_config(database._alembic())
    return [script.revision for script in reversed(list(scripts.walk_revisions()))]


def kept() -> list[str]:
    return sorted({one.name.partition(".")[0] for one in PLACE.glob("*.sql")})


def file(revision: str, kind: str) -> Path:
    return PLACE / f"{revision}.{kind}.sql"


def make(revision: str, kind: str) -> str:
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as place:
            _fill(f"sqlite:///{place}/x.db", revision)
            with closing(sqlite3.connect(f"{place}/x.db")) as connection:
                return "\n".join(connection.iterdump()) + "\n"
    from tests.postgres import _binaries, running

    with running() as server:
        url = server.create_database()
        _fill(url, revision)
        dump = str(_binaries()[0] / "pg_dump")
        options = ["--inserts", "--no-owner", "--no-privileges", "--schema", "public"]
        text = subprocess.run([dump, *options, url], capture_output=True, text=True, check=True).stdout
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith((*_NOISE, "--", "\n")))


_NOISE = ("SET ", "SELECT pg_catalog.set_config", "CREATE SCHEMA", "COMMENT ON SCHEMA", "\\")


def _fill(url: str, revision: str) -> None:
    async def fill() -> None:
        own = database.Database(url)
        await own.migrate(revision)
        async with own.begin() as connection:
            await connection.run_sync(_rows)
        await own.close()

    asyncio.run(fill())


def _rows(connection: sa.Connection) -> None:
    """A row for each table that there is, and for each of its columns that the row has a value for."""
    reflected = sa.MetaData()
    reflected.reflect(connection)
    for table in reflected.sorted_tables:
        if row := _DATA.get(table.name):
            values = {column.name: _value(column, row[column.name]) for column in table.columns if column.name in row}
            connection.execute(table.insert().values(values))


def _value(column: sa.Column[Any], value: Any) -> Any:
    from datetime import UTC, datetime

    if value is not _AT:
        return value
    at = datetime.fromisoformat(value)
    return at if getattr(column.type, "timezone", False) else at.astimezone(UTC).replace(tzinfo=None)


_DATA: dict[str, dict[str, Any]] = {
    "hokusai_workspaces": {"name": "acme", "created_at": _AT, "quota_bytes": 2**50},
    "hokusai_keys": {
        "id": "key_0000000000000001",
        "digest": digest(Key(KEY, "live"), b"a pepper"),
        "hint": KEY[:12],
        "name": "größe",
        "workspace": "acme",
        "user_id": "somebody",
        "permissions": "models:read models:write",
        "service_id": "platform",
        "environment": "live",
        "allow_ips": "",
        "created_at": _AT,
        "created_by": "key_0000000000000000",
    },
    "hokusai_usage": {"key_id": "key_0000000000000001", "hour": _AT, "requests": 2**40, "refused": 1},
    "hokusai_installation": {"id": 1, "pepper_fingerprint": fingerprint(b"a pepper"), "created_at": _AT},
    "hokusai_artifacts": {
        "workspace": "acme",
        "path": "a/größe.bin",
        "size": 2**40,
        "sha256": "ab" * 32,
        "created_at": _AT,
        "key_id": "key_0000000000000001",
    },
    "hokusai_audit": {
        "at": _AT,
        "request_id": "r",
        "workspace": "acme",
        "address": "127.0.0.1",
        "method": "GET",
        "path": "/",
        "status": 200,
        "seconds": 0.5,
        "action": "version.create",
        "subject_type": "version",
        "subject": "größe/1",
        "within": "größe",
        "times": 1,
        "bytes": 2**40,
        "details": "{}",
    },
    "hokusai_use": {"workspace": "acme", "bytes": 2**40, "files": 1, "models": 0},
    "hokusai_models": {"workspace": "acme", "name": "churn", "claimed_at": _AT},
    "hokusai_model_names": {
        "workspace": "acme",
        "name": "churn",
        "alike": "ab" * 32,
        "claimed_at": _AT,
        "creating": 0,
        "retired_at": _AT,
        "retired_for": "churn 2",
    },
    "hokusai_schema": {"id": 1, "oldest_code": "0003"},
}


def main() -> None:
    PLACE.mkdir(exist_ok=True)
    for revision in known():
        for kind in ("sqlite", "postgresql"):
            if not file(revision, kind).exists():
                file(revision, kind).write_text(make(revision, kind))
                print(os.path.relpath(file(revision, kind)))


if __name__ == "__main__":
    main()
