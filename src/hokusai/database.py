"""The database of our own tables: connections, bounded waits, migrations, and its errors translated to ours.

SQLite (file) and PostgreSQL. MLflow's tables are never touched from here; ours are prefixed
``hokusai_`` so that both can share one PostgreSQL database.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import alembic.command
import alembic.config
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event, exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.types import TypeDecorator

from hokusai import errors

log = logging.getLogger("hokusai.database")

T = TypeVar("T")

#: All our tables. Each package declares its own on this.
metadata = sa.MetaData()


class Instant(TypeDecorator[datetime]):
    """A point in time, in UTC both in the database and in Python. SQLite stores no time zone, so it is added again."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


VERSION_TABLE = "hokusai_alembic_version"
#: The newest revision of the oldest code that may run on this code's schema: see ``migrations``.
OLDEST_CODE = "0003"

#: One row: which code may run on the schema, written by the code that migrated it.
schema = sa.Table(
    "hokusai_schema",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("oldest_code", sa.String(32), nullable=False),
)

WAIT_SECONDS = 5
#: Transactions that ``run`` can have in progress at a time.
_THREADS = 4
_DRIVERS = {"sqlite": ("sqlite+aiosqlite", "sqlite"), "postgresql": ("postgresql+psycopg", "postgresql+psycopg")}
_MIGRATION_LOCK = 0x686F6B75  # of one migration at a time on PostgreSQL; the number is arbitrary


class _Abandoned(Exception):
    """Nobody waits for the transaction any more, so it is rolled back."""


class Database:
    """Connections to our own tables.

    ``run`` executes a whole transaction in one call. ``begin`` opens one that commits at the end of the block,
    for transactions that also wait for something else. Both raise ``errors.DatabaseDown``, ``DatabaseReadOnly``,
    ``DatabaseCredentials`` or ``SchemaMissing`` where the database is the cause. They wait ``WAIT_SECONDS`` for a
    connection, a statement or a lock, and twice that for the whole transaction, unless ``begin`` is given other
    ``seconds``.
    """

    def __init__(self, url: str, *, pool_size: int = 5) -> None:
        try:
            parsed = make_url(url)
            asynchronous, blocking = _DRIVERS[parsed.get_backend_name()]
        except (exc.ArgumentError, KeyError, ValueError):  # ValueError: a port that is not a number
            reason = "it is neither sqlite:///FILE nor postgresql://USER:PASSWORD@HOST/NAME"
            raise errors.SettingInvalid(setting="HOKUSAI_DATABASE_URL", reason=reason) from None
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self.name = parsed.render_as_string(hide_password=True)
        self._blocking_url: URL = parsed.set(drivername=blocking)
        options: dict[str, Any] = {
            "max_overflow": 0,
            "hide_parameters": True,  # otherwise errors would put rows into the log
            "pool_timeout": WAIT_SECONDS,
            "pool_pre_ping": not self.is_sqlite,
            "connect_args": {"timeout": WAIT_SECONDS} if self.is_sqlite else _postgres_options(),
        }
        self._engine = create_async_engine(parsed.set(drivername=asynchronous), pool_size=pool_size, **options)
        self._blocking = sa.create_engine(self._blocking_url, pool_size=_THREADS + 1, **options)  # and ``blocking``
        self._connected = weakref.WeakSet[Any]()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="database")
        if self.is_sqlite:
            for engine in (self._engine.sync_engine, self._blocking):
                event.listen(engine, "connect", _sqlite_pragmas)
        else:
            event.listen(self._blocking, "connect", lambda connection, _: self._connected.add(connection))

    async def run(self, work: Callable[[sa.Connection], T]) -> T:
        """``work`` in a transaction, on a thread: it commits when ``work`` returns, and rolls back when it raises.

        One call costs one change of threads; in ``begin`` every statement costs one, several times the statement.
        When the caller is cancelled or times out, the transaction rolls back, unless it is committing already.
        """
        abandoned = threading.Event()
        with translate_errors():  # for the time-out
            try:
                async with asyncio.timeout(2 * WAIT_SECONDS):
                    return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, work, abandoned)
            except TimeoutError:
                self._end_connections()
                raise
            finally:
                abandoned.set()

    async def rows(self, query: sa.Select[Any], values: Mapping[str, Any] | None = None) -> Sequence[sa.Row[Any]]:
        """All rows of one query."""
        return await self.run(lambda connection: connection.execute(query, values).all())

    @contextmanager
    def blocking(self) -> Iterator[sa.Connection]:
        """A transaction on the caller's own thread, which commits at the end of the block. Raises as ``begin`` does."""
        with translate_errors(), self._blocking.begin() as connection:
            yield connection

    def _run(self, work: Callable[[sa.Connection], T], abandoned: threading.Event) -> T:
        with self.blocking() as connection:
            found = work(connection)
            if abandoned.is_set():
                raise _Abandoned
            return found

    def _end_connections(self) -> None:
        """End the connections whose threads may be waiting for a PostgreSQL that does not answer.

        libpq waits for as long as TCP does. Until then these threads could serve nobody, even after the database
        is back.
        """
        for connection in list(self._connected):
            # Drivers raise various errors for a connection that was closed meanwhile.
            with suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as ours:
                ours.shutdown(socket.SHUT_RDWR)

    @asynccontextmanager
    async def begin(self, *, seconds: float | None = None) -> AsyncIterator[AsyncConnection]:
        with translate_errors():
            # PostgreSQL's own time-outs do not help when PostgreSQL itself hangs.
            async with asyncio.timeout(seconds or 2 * WAIT_SECONDS), self._engine.begin() as connection:
                yield connection

    def insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        """An INSERT with ON CONFLICT: the same SQL in both databases, and two classes in SQLAlchemy."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    async def check(self) -> None:
        """Raises as ``begin`` does unless our tables can be read."""
        await self.rows(sa.select(sa.column("version_num")).select_from(sa.table(VERSION_TABLE)))

    def refuse_missing(self) -> None:
        """Raises ``errors.DatabaseUnreachable`` for a SQLite file that does not exist: a connection would create it."""
        file = self._blocking_url.database
        if self.is_sqlite and file and not Path(file).exists():
            raise errors.DatabaseUnreachable(setting="HOKUSAI_DATABASE_URL", reason=f"{file} does not exist")

    async def migrate(self, revision: str = "head") -> None:
        """Migrate our tables to this code's schema, or to an older ``revision``. Runs at start, before any request.

        A newer schema is left alone where it says that this code may run on it, so that two versions can run side
        by side in a rolling update, and an update can be rolled back. Raises ``errors.DatabaseNewer`` or
        ``errors.DatabaseUnreachable``.
        """
        await asyncio.to_thread(self._migrate, revision)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._end_connections()  # a database that hangs must not delay our own end
        self._blocking.dispose()
        await self._engine.dispose()

    def refuse_newer(self, revision: str | None) -> None:
        """Raises ``errors.DatabaseNewer`` where this code does not know the schema's revision."""
        if revision and revision not in _known():
            raise errors.DatabaseNewer(database=self.name, revision=revision, version=version("hokusai"))

    def _migrate(self, revision: str) -> None:
        config = _alembic()
        engine = sa.create_engine(self._blocking_url, poolclass=sa.NullPool)
        if self.is_sqlite:
            event.listen(engine, "connect", _sqlite_pragmas)
            event.listen(engine, "begin", _begin_on_sqlite)
        try:
            with engine.begin() as connection:
                if not self.is_sqlite:
                    connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
                context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
                current = context.get_current_revision()
                if _may_run_on(connection, current):
                    log.warning(
                        "the database schema %s is newer than this code, which may use it: not migrated", current
                    )
                    return
                self.refuse_newer(current)
                config.attributes["connection"] = connection
                alembic.command.upgrade(config, revision)
                if revision == "head":
                    connection.execute(schema.delete())
                    connection.execute(schema.insert().values(id=1, oldest_code=OLDEST_CODE))
        except exc.SQLAlchemyError as error:
            raise errors.DatabaseUnreachable(setting="HOKUSAI_DATABASE_URL", reason=first_line(error)) from error
        finally:
            engine.dispose()


def _alembic() -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(str(resources.files("hokusai.migrations")))))
    return config


def _known() -> set[str]:
    """Every revision that this code knows."""
    return {script.revision for script in ScriptDirectory.from_config(_alembic()).walk_revisions()}


def _may_run_on(connection: sa.Connection, revision: str | None) -> bool:
    """Whether the schema is newer than this code, and says that this code may run on it."""
    if revision is None or revision in _known() or not sa.inspect(connection).has_table(schema.name):
        return False
    return connection.execute(sa.select(schema.c.oldest_code)).scalar() in _known()


def _postgres_options() -> dict[str, Any]:
    milliseconds = WAIT_SECONDS * 1000
    return {
        "connect_timeout": WAIT_SECONDS,
        "tcp_user_timeout": milliseconds,
        "keepalives_idle": WAIT_SECONDS,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "options": f"-c statement_timeout={milliseconds} -c idle_in_transaction_session_timeout={14 * milliseconds}",
    }


def _sqlite_pragmas(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={WAIT_SECONDS * 1000}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_on_sqlite(connection: sa.Connection) -> None:
    """Python's driver begins a transaction before an INSERT, not before a CREATE TABLE: each would commit by itself."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


#: What a driver's message means. SQLite and PostgreSQL word the same fault differently.
_MEANINGS: tuple[tuple[Callable[[], errors.HokusaiError], tuple[str, ...]], ...] = (
    (errors.DatabaseReadOnly, ("readonly", "read-only", "disk is full", "disk full", "no space")),
    (errors.DatabaseCredentials, ("authentication failed", "not permitted to log in", "no pg_hba.conf entry")),
    (errors.SchemaMissing, ("no such table", "undefinedtable")),
)


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turns what a driver raises in the block into an error of ours."""
    try:
        yield
    except (exc.OperationalError, exc.InterfaceError, exc.TimeoutError, OSError) as error:
        log.error("the database failed: %s", error)
        raise _translated(error) from error
    except (exc.InternalError, exc.ProgrammingError) as error:
        # psycopg raises these for a standby, a read-only session and a table that does not exist.
        if not isinstance(translated := _translated(error), errors.DatabaseDown):
            log.error("the database failed: %s", error)
            raise translated from error
        raise


def first_line(error: Exception) -> str:
    """What the driver said, in one line of at most 300 characters: the rest is SQL, or repeats it."""
    text = str(getattr(error, "orig", error)).strip() or type(error).__name__
    return text.splitlines()[0][:300]


def _translated(error: Exception) -> errors.HokusaiError:
    text = str(error).lower()
    found = next((row for row, signs in _MEANINGS if any(sign in text for sign in signs)), errors.DatabaseDown)
    return found()
