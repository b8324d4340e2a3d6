"""What real databases raise: each kind of outage is told from each kind of mistake."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from hokusai import errors
from hokusai.database import Database
from hokusai.database_outages import Outage, outage
from tests.disks import filled
from tests.postgres import Postgres

ROWS = "CREATE TABLE rows (id INTEGER PRIMARY KEY, text VARCHAR(10)); INSERT INTO rows VALUES (1, 'a'), (2, 'b')"


@pytest.fixture(scope="module")
def engine(postgres: Postgres) -> Iterator[sa.Engine]:
    made = sa.create_engine(postgres.create_database().replace("postgresql:", "postgresql+psycopg:"))
    with made.begin() as connection:
        connection.exec_driver_sql(ROWS)
    yield made
    made.dispose()


def raised(act: Callable[[], object]) -> Outage | None:
    with pytest.raises(sa.exc.SQLAlchemyError) as caught:
        act()
    return outage(caught.value)


def shut_down(engine: sa.Engine) -> None:
    with engine.connect() as victim, engine.connect() as administrator:
        pid = victim.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        administrator.exec_driver_sql(f"SELECT pg_terminate_backend({pid}, 5000)")
        victim.exec_driver_sql("SELECT 1")


def not_serializable(engine: sa.Engine) -> None:
    serial = engine.execution_options(isolation_level="SERIALIZABLE")
    with serial.connect() as first, serial.connect() as second:
        first.exec_driver_sql("SELECT * FROM rows")
        second.exec_driver_sql("UPDATE rows SET text = 'c' WHERE id = 1")
        second.commit()
        first.exec_driver_sql("UPDATE rows SET text = 'd' WHERE id = 1")


def deadlock(engine: sa.Engine) -> None:
    """Two transactions wait for each other; here the one that notices first is the one that is asked."""
    update = "UPDATE rows SET text = 'e' WHERE id = "
    with engine.connect() as first, engine.connect() as second:
        first.exec_driver_sql("SET deadlock_timeout = '1h'")
        second.exec_driver_sql("SET deadlock_timeout = '10ms'")
        first.exec_driver_sql(update + "1")
        second.exec_driver_sql(update + "2")
        pid = first.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        driver = first.connection.driver_connection
        assert driver is not None
        driver.pgconn.send_query(f"{update}2".encode())
        waiting = f"SELECT count(*) FROM pg_locks WHERE pid = {pid} AND NOT granted"
        with engine.connect() as look:
            while not look.exec_driver_sql(waiting).scalar_one():
                look.rollback()
        try:
            second.exec_driver_sql(update + "1")
        finally:
            first.invalidate()


def lock_not_available(engine: sa.Engine) -> None:
    with engine.connect() as first, engine.connect() as second:
        first.exec_driver_sql("LOCK rows")
        second.exec_driver_sql("SET lock_timeout = '10ms'")
        second.exec_driver_sql("SELECT * FROM rows")


def read_only(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        connection.exec_driver_sql("DELETE FROM rows")


def too_many_connections(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP ROLE IF EXISTS limited")
        connection.exec_driver_sql("CREATE ROLE limited LOGIN CONNECTION LIMIT 0")
    limited = sa.create_engine(engine.url.set(username="limited"), poolclass=sa.NullPool)
    limited.connect()


def statement(text: str) -> Callable[[sa.Engine], None]:
    def act(engine: sa.Engine) -> None:
        with engine.connect() as connection:
            connection.exec_driver_sql(text)

    return act


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (shut_down, errors.DatabaseDown),
        (not_serializable, errors.DatabaseDown),
        (deadlock, errors.DatabaseDown),
        (lock_not_available, errors.DatabaseDown),
        (too_many_connections, errors.DatabaseDown),
        (read_only, errors.DatabaseReadOnly),
        (statement("SELECT * FROM missing"), errors.SchemaMissing),
        (statement("INSERT INTO rows VALUES (1, 'a')"), None),
        (statement("INSERT INTO rows VALUES (3, 'far more than ten characters')"), None),
        (statement("INSERT INTO rows VALUES (99999999999, 'a')"), None),
        (statement("SELECT 1 / 0"), None),
        (statement("SELEKT"), None),
    ],
)
def test_postgresql(engine: sa.Engine, act: Callable[[sa.Engine], None], expected: Outage | None) -> None:
    assert raised(lambda: act(engine)) is expected


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("hokusai@127.0.0.1:9/x", errors.DatabaseDown),
        ("hokusai@no-such-host.invalid/x", errors.DatabaseDown),
        ("nobody@127.0.0.1:{port}/postgres", None),
        ("hokusai@127.0.0.1:{port}/nothing", None),
        ("hokusai@127.0.0.1:{port}/postgres?sslmode=require", None),
    ],
)
def test_a_login_at_postgresql(postgres: Postgres, place: str, expected: Outage | None) -> None:
    """What is not there may come. What the settings name wrongly will not."""
    url = "postgresql+psycopg://" + place.format(port=postgres.port)
    assert raised(sa.create_engine(url, poolclass=sa.NullPool).connect) is expected


def test_a_full_disk_of_postgresql(postgres: Postgres, small_disk: Path) -> None:
    for directory in [small_disk, *small_disk.parents]:  # that pytest made for root alone
        if directory.is_relative_to(Path(tempfile.gettempdir()) / "pytest-of-root"):
            directory.chmod(0o755)
    place = small_disk / "tablespace"
    place.mkdir()
    if postgres._account:
        shutil.chown(place, postgres._account["user"], postgres._account["group"])
    postgres.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
    try:
        url = postgres.create_database()
        database = Database(url)
        asyncio.run(_fills(database, small_disk))
    finally:
        postgres.execute(f"DROP DATABASE {url.rpartition('/')[2]}")
        postgres.execute("DROP TABLESPACE small")


async def _fills(database: Database, disk: Path) -> None:
    await database.migrate()
    await database.run(lambda connection: connection.execute(sa.text("ALTER TABLE hokusai_probe SET TABLESPACE small")))
    with filled(disk), pytest.raises(errors.DatabaseFull):
        await database.check()
    await database.check()
    await database.close()


def test_a_full_disk_of_sqlite(small_disk: Path) -> None:
    async def fill() -> None:
        database = Database(f"sqlite:///{small_disk / 'hokusai.db'}")
        await database.migrate()
        with filled(small_disk), pytest.raises(errors.DatabaseFull):
            await database.check()
        await database.check()
        await database.close()

    asyncio.run(fill())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PRAGMA query_only = ON; DELETE FROM rows", errors.DatabaseReadOnly),
        ("SELECT * FROM missing", errors.SchemaMissing),
        ("INSERT INTO rows VALUES (1, 'a')", None),
        ("SELEKT", None),
        ("SELECT zeroblob(99999999999)", None),
    ],
)
def test_sqlite(tmp_path: Path, text: str, expected: Outage | None) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection:
        connection.executescript(ROWS)
        with pytest.raises(sqlite3.Error) as caught:
            connection.executescript(text)
    assert outage(caught.value) is expected


def test_a_file_of_sqlite_that_is_locked(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    with closing(sqlite3.connect(file)) as one, closing(sqlite3.connect(file, timeout=0)) as other:
        one.executescript(ROWS + "; BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError) as caught:
            other.execute("SELECT * FROM rows")
    assert outage(caught.value) is errors.DatabaseDown


def test_a_file_of_sqlite_that_is_elsewhere_is_not_an_outage(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError) as caught:
        sqlite3.connect(os.fspath(tmp_path / "nowhere" / "x.db"))
    assert outage(caught.value) is None
