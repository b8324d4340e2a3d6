"""Every schema that was ever released, with data in it (``tests/golden/schema``), can be migrated to the newest.

A new migration adds its golden schema with ``python -m tests.golden_schema``; old ones are never written again.
"""

from __future__ import annotations

import importlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from hokusai.artifacts import Ledger, Place
from hokusai.auth import KeyStore
from hokusai.auth.keys import Key, digest
from hokusai.database import OLDEST_CODE, VERSION_TABLE, Database, metadata
from hokusai.quota import UseStore
from tests import golden_schema
from tests.postgres import Postgres, connect
from tests.test_database import DECLARING

REVISIONS = golden_schema.kept()


@dataclass
class Golden:
    """A released schema, loaded into a database."""

    revision: str
    database: Database


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=REVISIONS)
def revision(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def golden(revision: str, kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Golden]:
    text = golden_schema.file(revision, kind).read_text()
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path / 'hokusai.db'}"
        with closing(sqlite3.connect(tmp_path / "hokusai.db")) as connection:
            connection.executescript(text)
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.create_database()
        with connect(url, autocommit=True) as connection:
            connection.execute(text.encode())
    database = Database(url)
    yield Golden(revision, database)
    await database.close()


async def inside(database: Database, look: Any) -> Any:
    async with database.begin() as connection:
        return await connection.run_sync(look)


async def test_it_becomes_the_schema_of_today(golden: Golden) -> None:
    for module in DECLARING:
        importlib.import_module(module)
    await golden.database.migrate()

    def differences(connection: sa.Connection) -> list[Any]:
        options = {"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    assert await inside(golden.database, differences) == []


async def test_what_is_in_it_is_read_as_it_was(golden: Golden) -> None:
    await golden.database.migrate()
    store = KeyStore(golden.database, pepper=b"a pepper")
    await store.prepare()
    found = await store.find(digest(Key(golden_schema.KEY, "live"), b"a pepper"))
    assert found is not None
    assert (found.record.id, found.principal.workspace, found.suspended) == ("key_0000000000000001", "acme", False)
    record = await Ledger(golden.database).find(Place("a/größe.bin", "acme", "a/größe.bin"))
    assert record is not None
    assert (record.size, record.sha256) == (2**40, "ab" * 32)
    assert (await UseStore(golden.database).of("acme")).bytes == 2**40
    async with golden.database.begin() as connection:
        await connection.execute(
            sa.text(
                "INSERT INTO hokusai_audit (at, request_id, address, method, path, status, seconds)"
                " VALUES (CURRENT_TIMESTAMP, 'later', '::1', 'GET', '/', 200, 0.1)"
            )
        )
        assert (await connection.execute(sa.text("SELECT COUNT(*) FROM hokusai_audit"))).scalar() == 2


@pytest.mark.parametrize("revision", [one for one in REVISIONS if one >= OLDEST_CODE])
async def test_code_that_may_run_on_the_schema_of_today_finds_all_it_knows(golden: Golden) -> None:
    """Nothing is gone and nothing new must be given: what the code of a golden schema writes still fits.

    This compares schemas. That the older code itself serves is for its own release to show.
    """
    before = await inside(golden.database, _columns)
    await golden.database.migrate()
    after = await inside(golden.database, _columns)
    assert before.items() <= after.items()
    for place in after.keys() - before.keys():
        table, column = place
        if table in {one for one, _ in before}:
            assert after[place][1], f"{table}.{column} is new, and must be given"


def test_every_migration_has_its_golden_schema() -> None:
    for kind in ("sqlite", "postgresql"):
        assert golden_schema.known() == [one for one in REVISIONS if golden_schema.file(one, kind).exists()]


def _columns(connection: sa.Connection) -> dict[tuple[str, str], tuple[str, bool]]:
    """Each column's type, and whether it may be left out."""
    found = {}
    inspector = sa.inspect(connection)
    for table in inspector.get_table_names():
        for column in inspector.get_columns(table):
            optional = column["nullable"] or column.get("default") is not None
            found[table, column["name"]] = (str(column["type"]), bool(optional))
    return found
