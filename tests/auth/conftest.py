"""A fresh, migrated database for every test, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hokusai.auth import KeyStore, create_operator_key, tables
from hokusai.auth.keys import Grant, Key, KeyRecord
from hokusai.database import Database
from hokusai.identity import PERMISSION_SETS
from tests.auth.service import PEPPER
from tests.postgres import Postgres, connect


def _migrated(url: str) -> str:
    async def migrate() -> None:
        database = Database(url)
        await database.migrate()
        await database.close()

    asyncio.run(migrate())
    return url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "hokusai.db"
    _migrated(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres: Postgres) -> str:
    return _migrated(postgres.create_database())


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Runs the test once on each."""
    return request.getfixturevalue(f"{request.param}_url_of_test")


@pytest.fixture
def sqlite_url_of_test(sqlite_template: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'hokusai.db')}"


@pytest.fixture
def postgresql_url_of_test(postgres_template: str) -> str:
    """Emptied, not made anew: that would take many times as long."""
    names = [table.name for table in (tables.keys, tables.workspaces, tables.usage, tables.installation)]
    with connect(postgres_template) as connection:
        connection.execute(f"TRUNCATE {', '.join(names)}")
    return postgres_template


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
async def store(database: Database) -> KeyStore:
    store = KeyStore(database, pepper=PEPPER)
    await store.prepare()
    return store


@pytest.fixture
async def operator(store: KeyStore) -> str:
    return await create_operator_key(store)


class Clock:
    """Stands in for the module ``time`` in the cache of keys; ``advance`` lets seconds go by at once."""

    def __init__(self) -> None:
        self._passed = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self._passed

    def advance(self, seconds: float) -> None:
        self._passed += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("hokusai.auth.cache.time", clock)
    return clock


async def issue(store: KeyStore, workspace: str | None = "acme", *sets: str, **facts: object) -> tuple[KeyRecord, Key]:
    """A key of a workspace, which is made where it does not exist."""
    if workspace is not None and await store.workspaces.get(workspace) is None:
        await store.workspaces.create(workspace)
    permissions = frozenset().union(*(PERMISSION_SETS[name] for name in sets or ("write",)))
    grant = Grant(**{"name": "test", "user_id": "ada", "workspace": workspace, "permissions": permissions, **facts})
    return await store.create(grant, created_by="test")
