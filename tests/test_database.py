from __future__ import annotations

import asyncio
import importlib
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from hokusai import __version__, errors
from hokusai.auth.workspaces import WorkspaceStore
from hokusai.database import VERSION_TABLE, Database, metadata
from hokusai.identity import Quota, Use
from hokusai.quota import UseStore
from tests.golden_schema import known
from tests.postgres import Postgres, connect

#: The modules that declare tables.
DECLARING = tuple(
    f"hokusai.{module}" for module in ("auth.tables", "artifacts.ledger", "audit.table", "quota", "model_names")
)
NAMES = (
    "workspaces",
    "keys",
    "usage",
    "installation",
    "artifacts",
    "audit",
    "audit_begun",
    "use",
    "pending",
    "models",
    "model_names",
    "probe",
)
TABLES = {f"hokusai_{name}" for name in (*NAMES, "schema")}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'hokusai.db'}"
    return request.getfixturevalue("postgres").create_database()


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    yield database
    await database.close()


async def inside(database: Database, look: Any) -> Any:
    async with database.begin() as connection:
        return await connection.run_sync(look)


async def test_migrations_make_every_table_and_may_run_again(database: Database) -> None:
    for _ in range(2):
        await database.migrate()
    assert set(await inside(database, lambda connection: sa.inspect(connection).get_table_names())) == TABLES | {
        VERSION_TABLE
    }


async def test_the_migrated_schema_is_the_declared_one(database: Database) -> None:
    for module in DECLARING:
        importlib.import_module(module)
    assert set(metadata.tables) == TABLES
    await database.migrate()

    def differences(connection: sa.Connection) -> list[Any]:
        options = {"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    assert await inside(database, differences) == []


async def test_the_first_migration_can_be_undone(database: Database) -> None:
    import alembic.command
    import alembic.config

    await database.migrate()

    def undo(connection: sa.Connection) -> None:
        config = alembic.config.Config()
        config.set_main_option("script_location", "hokusai:migrations")
        config.attributes["connection"] = connection
        alembic.command.downgrade(config, "base")

    await inside(database, undo)
    assert await inside(database, lambda connection: sa.inspect(connection).get_table_names()) == [VERSION_TABLE]


async def test_an_upgrade_counts_what_is_stored(database: Database) -> None:
    import alembic.command
    import alembic.config

    def step(connection: sa.Connection) -> None:
        config = alembic.config.Config()
        config.set_main_option("script_location", "hokusai:migrations")
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "0001")

    files = [("acme", "a", 2**40), ("acme", "1/run/b", 1), ("beta", "a", 0)]
    await inside(database, step)
    async with database.begin() as connection:
        for workspace, path, size in files:
            await connection.execute(
                sa.text(
                    "INSERT INTO hokusai_artifacts (workspace, path, size, sha256, created_at, key_id)"
                    " VALUES (:workspace, :path, :size, 'x', CURRENT_TIMESTAMP, 'key')"
                ),
                {"workspace": workspace, "path": path, "size": size},
            )
        await connection.execute(
            sa.text("INSERT INTO hokusai_workspaces (name, created_at) VALUES ('acme', CURRENT_TIMESTAMP)")
        )
    await database.migrate()
    store = UseStore(database)
    assert await store.of("acme") == Use(bytes=2**40 + 1, files=2, names=4)
    assert await store.of("beta") == Use(bytes=0, files=1, names=1)
    assert await store.of("gamma") == Use()
    found = await WorkspaceStore(database, changed=lambda: None).get("acme")
    assert found is not None
    assert (found.quota, found.deleted_at) == (Quota(), None)


async def test_a_database_newer_than_the_code_is_left_alone(database: Database) -> None:
    await database.migrate()
    async with database.begin() as connection:
        await connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
        await connection.execute(sa.text("UPDATE hokusai_schema SET oldest_code = '9998'"))
    with pytest.raises(errors.DatabaseNewer) as caught:
        await database.migrate()
    assert "9999" in str(caught.value)
    assert __version__ in str(caught.value)
    assert caught.value.code == "HK6005"


async def test_a_newer_schema_that_this_code_may_run_on_is_used_as_it_is(database: Database) -> None:
    await database.migrate()
    async with database.begin() as connection:
        await connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    await database.migrate()
    async with database.begin() as connection:
        versions = await connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}"))
        assert versions.scalars().all() == ["9999"]


async def test_two_servers_migrate_at_the_same_time(postgres: Postgres) -> None:
    url = postgres.create_database()
    program = f"""
import asyncio
from hokusai.database import Database
async def main():
    database = Database({url!r})
    await database.migrate()
    await database.close()
asyncio.run(main())
"""
    processes = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) for _ in range(3)]
    for process in processes:
        _, complaint = await asyncio.to_thread(process.communicate, timeout=60)
        assert process.returncode == 0, complaint.decode()
    with connect(url) as connection:
        assert connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchall() == [(known()[-1],)]


async def test_a_migration_that_is_killed_leaves_nothing(url: str, database: Database) -> None:
    """Or the next start would find half of the tables, and could never make the others."""
    program = f"""
import asyncio, os
from alembic import op
from hokusai.database import Database
create, made = op.create_table, []
def create_or_die(*arguments, **options):
    if len(made) == 2:
        os.kill(os.getpid(), 9)
    made.append(create(*arguments, **options))
op.create_table = create_or_die
asyncio.run(Database({url!r}).migrate())
"""
    killed = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program], timeout=60)
    assert killed.returncode == -9
    assert await inside(database, lambda connection: sa.inspect(connection).get_table_names()) == []
    await database.migrate()
    assert set(await inside(database, lambda connection: sa.inspect(connection).get_table_names())) >= TABLES


async def test_a_transaction_is_kept_whole_or_not_at_all(database: Database) -> None:
    await database.migrate()
    insert = sa.text("INSERT INTO hokusai_workspaces (name, created_at) VALUES ('acme', CURRENT_TIMESTAMP)")

    async def fail() -> None:
        async with database.begin() as connection:
            await connection.execute(insert)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    async with database.begin() as connection:
        assert (await connection.execute(sa.text("SELECT * FROM hokusai_workspaces"))).all() == []


async def test_check(database: Database) -> None:
    with pytest.raises(errors.SchemaMissing):
        await database.check()
    await database.migrate()
    await database.check()


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://localhost/x", "sqlite", "postgresql+asyncpg:/x"])
def test_what_is_no_database_url(url: str) -> None:
    with pytest.raises(errors.SettingInvalid, match="HOKUSAI_DATABASE_URL"):
        Database(url)


async def test_the_password_is_in_no_message(postgres: Postgres) -> None:
    database = Database(f"postgresql://nobody:hunter2@127.0.0.1:{postgres.port}/nothing")
    with pytest.raises(errors.DatabaseUnreachable) as unreachable:
        await database.migrate()
    with pytest.raises(errors.DatabaseDown) as down:
        await database.check()
    for error in (unreachable.value, down.value):
        assert "hunter2" not in f"{error} {error.advice} {database.name}"
    await database.close()


async def test_a_server_that_is_not_there(own_postgres: Postgres) -> None:
    database = Database(own_postgres.create_database())
    own_postgres.stop()
    with pytest.raises(errors.DatabaseDown):
        await database.check()
    with pytest.raises(errors.DatabaseUnreachable):
        await database.migrate()
    own_postgres.start()
    await database.migrate()
    own_postgres.stop()
    own_postgres.start()
    await database.check()  # the pool's connections are dead, and nobody notices
    await database.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr("hokusai.database.WAIT_SECONDS", 1)
    return 1


async def test_a_server_that_stands_still_is_given_up_on(own_postgres: Postgres, impatient: float) -> None:
    database = Database(own_postgres.create_database())
    await database.migrate()
    await database.check()
    with own_postgres.frozen():
        started = time.monotonic()
        with pytest.raises(errors.DatabaseDown):
            await database.check()
        # psycopg then takes 10 seconds of its own to find out that the statement cannot be cancelled either
        assert time.monotonic() - started < 2 * impatient + 10 + 5
    await database.check()
    await database.close()


async def test_a_server_that_takes_no_writes(own_postgres: Postgres) -> None:
    database = Database(own_postgres.create_database())
    await database.migrate()
    own_postgres.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    own_postgres.stop()
    own_postgres.start()
    with pytest.raises(errors.DatabaseReadOnly):
        async with database.begin() as connection:
            await connection.execute(sa.text("DELETE FROM hokusai_usage"))
    with pytest.raises(errors.DatabaseReadOnly):
        await database.check()
    await database.close()


async def test_a_file_that_takes_no_writes(tmp_path: Path) -> None:
    path = tmp_path / "hokusai.db"
    database = Database(f"sqlite:///{path}")
    await database.migrate()

    async def write() -> None:
        async with database.begin() as connection:
            await connection.execute(sa.text("PRAGMA query_only = ON"))
            await connection.execute(sa.text("DELETE FROM hokusai_usage"))

    with pytest.raises(errors.DatabaseReadOnly):
        await write()
    await database.close()


async def test_a_locked_file_is_waited_for_and_given_up_on(tmp_path: Path, impatient: float) -> None:
    path = tmp_path / "hokusai.db"
    database = Database(f"sqlite:///{path}")
    await database.migrate()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    with pytest.raises(errors.DatabaseDown):
        async with database.begin() as connection:
            await connection.execute(sa.text("DELETE FROM hokusai_usage"))
    assert time.monotonic() - started < 2 * impatient + 3
    holder.execute("ROLLBACK")
    holder.close()
    async with database.begin() as connection:
        await connection.execute(sa.text("DELETE FROM hokusai_usage"))
    await database.close()


async def test_a_failed_statement_leaves_no_values_in_the_log(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await database.migrate()
    async with database.begin() as connection:
        await connection.execute(sa.text("DROP TABLE hokusai_usage"))
    with pytest.raises(errors.SchemaMissing) as caught:
        async with database.begin() as connection:
            await connection.execute(
                sa.text("SELECT * FROM hokusai_usage WHERE key_id = :secret"), {"secret": "hunter2"}
            )
    assert "hunter2" not in caplog.text + str(caught.value) + str(caught.value.__cause__)


async def test_what_nobody_waits_for_any_more_is_rolled_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.migrate()
    monkeypatch.setattr("hokusai.database.WAIT_SECONDS", 0.2)
    given_up = threading.Event()

    def slow(connection: sa.Connection) -> None:
        connection.execute(
            sa.text("INSERT INTO hokusai_use (workspace, bytes, files, models) VALUES ('late', 1, 1, 1)")
        )
        assert given_up.wait(30)

    with pytest.raises(errors.DatabaseDown):
        await database.run(slow)
    given_up.set()
    await asyncio.sleep(0.3)
    monkeypatch.undo()
    assert await UseStore(database).of("late") == Use()


class Relay:
    """A proxy before PostgreSQL. ``freeze`` lets what is connected hang, as when a host is gone without a word."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._lines: list[asyncio.Task[Any]] = []
        self._ends: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def freeze(self) -> None:
        for line in self._lines:
            line.cancel()

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        self.freeze()
        for end in self._ends:
            end.close()
        await asyncio.gather(*(end.wait_closed() for end in self._ends), *self._lines, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._to)
        self._ends += [writer, back]
        for source, sink in ((reader, back), (there, writer)):
            self._lines.append(asyncio.create_task(self._pump(source, sink)))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
        sink.close()


async def test_a_server_that_is_gone_without_a_word_takes_no_thread_with_it(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever answers in its place is asked: here, the same one on new connections."""
    url = sa.make_url(postgres.create_database())
    relay = Relay(str(url.host), url.port or 5432)
    away = Database(url.set(host="127.0.0.1", port=await relay.start()).render_as_string(hide_password=False))
    crowd = [away.rows(sa.select(sa.literal(1))) for _ in range(8)]
    await asyncio.gather(*crowd)
    monkeypatch.setattr("hokusai.database.WAIT_SECONDS", 0.5)
    relay.freeze()
    lost = await asyncio.gather(*(away.rows(sa.select(sa.literal(1))) for _ in range(8)), return_exceptions=True)
    assert {type(error) for error in lost} == {errors.DatabaseDown}
    monkeypatch.undo()
    assert [tuple(row) for row in await away.rows(sa.select(sa.literal(1)))] == [(1,)]
    await away.close()
    await relay.close()
