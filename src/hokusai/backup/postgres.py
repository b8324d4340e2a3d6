"""Tables of a PostgreSQL database, each as one compressed file of PostgreSQL's own ``COPY`` text.

Why not ``pg_dump``: it would have to be installed, in a version no older than the server's. ``COPY`` is as exact, and
the migrations that created the tables create them again.
"""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.engine import URL, make_url

from hokusai import errors, restore_mark
from hokusai.backup.manifest import Part
from hokusai.database import MIGRATION_LOCK, first_line
from hokusai.restore_mark import RestoreMark

_CONNECT = {"connect_timeout": 10, "tcp_user_timeout": 60_000, "options": "-c lock_timeout=10s"}


class PostgresCopy:
    """The tables for which ``owns`` is true, from one repeatable-read transaction.

    ``create`` creates them, empty, at a revision. Copies of one database share ``snapshots``, to see the same moment.
    """

    kind = "postgresql"

    def __init__(
        self,
        name: str,
        url: str,
        *,
        setting: str,
        version_table: str,
        owns: Callable[[str], bool],
        create: Callable[[str], None],
        snapshots: dict[URL, str],
    ) -> None:
        self.name = name
        self.setting = setting
        self._url = make_url(url).set(drivername="postgresql+psycopg")
        self.place = _without_account(self._url)
        self._version_table = version_table
        self._owns = owns
        self._create = create
        self._snapshots = snapshots

    @contextmanager
    def save(self, directory: Path) -> Iterator[tuple[sa.Connection, Part]]:
        directory.mkdir()
        with self._connected("REPEATABLE READ") as connection:
            self._join(_driver(connection))
            tables = {table: _columns(connection, table) for table in self._tables(connection)}
            if self._version_table not in tables:
                raise errors.DatabaseUnreachable(setting=self.setting, reason=f"it has no {self._version_table}")
            revision = connection.execute(sa.text(f"SELECT version_num FROM {self._version_table}")).scalar()  # noqa: S608
            for table, columns in tables.items():
                _copy_out(_driver(connection), table, columns, _file(directory, table))
            yield connection, Part(self.kind, revision, tables)

    def refuse_used(self) -> None:
        with self._connected() as connection:
            self._refuse_used(connection)

    def clear(self) -> None:
        with self._connected() as connection:
            if found := self._tables(connection):
                names = sql.SQL(", ").join(map(sql.Identifier, found))
                _driver(connection).execute(sql.SQL("DROP TABLE {} CASCADE").format(names))
                connection.commit()

    def load(self, directory: Path, part: Part, finish: Callable[[sa.Connection], None]) -> None:
        self._create(part.revision or "head")
        with self._connected() as connection:
            driver = _driver(connection)
            names = [sql.Identifier(table) for table in part.tables]
            driver.execute(
                sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(names))
            )  # rows that the migrations inserted
            for table in _in_order(connection, list(part.tables)):
                _copy_in(driver, table, part.tables[table], _file(directory, table))
                _set_sequences(driver, table, part.tables[table])
            finish(connection)
            connection.commit()

    def mark(self) -> RestoreMark | None:
        with self._connected() as connection:
            return restore_mark.find(connection)

    def write_mark(self, mark: RestoreMark) -> None:
        with self._connected() as connection:
            # Not while a server makes its tables, or between its look for a mark and its tables.
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
            if not restore_mark.find(connection):
                self._refuse_used(connection)
            restore_mark.write(connection, mark)
            connection.commit()

    def remove_mark(self) -> None:
        with self._connected() as connection:
            restore_mark.remove(connection)
            connection.commit()

    def _refuse_used(self, connection: sa.Connection) -> None:
        if found := self._tables(connection):
            raise errors.RestoreIntoUse(place=f"the database of {self.setting} has the table {found[0]}: it")

    def _join(self, driver: psycopg.Connection[Any]) -> None:
        """See the same moment as the first copy, whose transaction is still open."""
        driver.execute("SET TRANSACTION READ ONLY")
        if self._url in self._snapshots:
            driver.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(self._snapshots[self._url]))
        elif found := driver.execute("SELECT pg_export_snapshot()").fetchone():
            self._snapshots[self._url] = found[0]

    def _tables(self, connection: sa.Connection) -> list[str]:
        return sorted(filter(self._owns, sa.inspect(connection).get_table_names()))

    @contextmanager
    def _connected(self, isolation: Any = "READ COMMITTED") -> Iterator[sa.Connection]:
        engine = sa.create_engine(
            self._url, poolclass=sa.NullPool, isolation_level=isolation, connect_args=_CONNECT, hide_parameters=True
        )
        try:
            with engine.connect() as connection:
                yield connection
        except (sa.exc.OperationalError, psycopg.OperationalError) as error:
            raise errors.DatabaseUnreachable(setting=self.setting, reason=first_line(error)) from error
        finally:
            engine.dispose()


def _without_account(url: URL) -> str:
    host = URL.create("postgresql", None, None, url.host, url.port, url.database, url.query)
    return host.difference_update_query(["user", "password", "sslpassword"]).render_as_string()


def _driver(connection: sa.Connection) -> psycopg.Connection[Any]:
    driver: Any = connection.connection.driver_connection
    return driver  # type: ignore[no-any-return]


def _columns(connection: sa.Connection, table: str) -> list[str]:
    """All columns except the computed ones."""
    return [column["name"] for column in sa.inspect(connection).get_columns(table) if "computed" not in column]


def _file(directory: Path, table: str) -> Path:
    return directory / f"{table}.copy.gz"


def _copying(direction: str, table: str, columns: list[str]) -> sql.Composed:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    return sql.SQL("COPY {} ({}) {}").format(sql.Identifier(table), names, sql.SQL(direction))


def _copy_out(driver: psycopg.Connection[Any], table: str, columns: list[str], file: Path) -> None:
    query = _copying("TO STDOUT", table, columns)
    with gzip.open(file, "wb", compresslevel=1) as stream, driver.cursor().copy(query) as rows:
        for piece in rows:
            stream.write(piece)


def _copy_in(driver: psycopg.Connection[Any], table: str, columns: list[str], file: Path) -> None:
    query = _copying("FROM STDIN", table, columns)
    with gzip.open(file, "rb") as stream, driver.cursor().copy(query) as rows:
        while piece := stream.read(1 << 20):
            rows.write(piece)


def _set_sequences(driver: psycopg.Connection[Any], table: str, columns: list[str]) -> None:
    """Let the sequences of these columns continue after their highest value."""
    name = sql.Identifier(table).as_string(driver)
    for column in columns:
        sequence = driver.execute("SELECT pg_get_serial_sequence(%s, %s)", (name, column)).fetchone()
        if sequence and sequence[0]:
            query = "SELECT setval(%s, COALESCE(MAX({0}), 1), MAX({0}) IS NOT NULL) FROM {1}"
            composed = sql.SQL(query).format(sql.Identifier(column), sql.Identifier(table))
            driver.execute(composed, (sequence[0],))


def _in_order(connection: sa.Connection, names: list[str]) -> list[str]:
    """Each table after those that it references."""
    metadata = sa.MetaData()
    with warnings.catch_warnings(action="ignore"):  # about unknown kinds of columns and indexes
        metadata.reflect(connection, only=names)
    return [table.name for table in metadata.sorted_tables]
