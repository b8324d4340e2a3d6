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
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
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

from hokusai import errors, restore_mark
from hokusai.database_outages import outage, outage_behind

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


def probe_table(name: str, tables: sa.MetaData) -> sa.Table:
    """A table without rows, in which it is tried out whether the database takes writes."""
    return sa.Table(name, tables, sa.Column("filler", sa.Text, nullable=False))


probe = probe_table("hokusai_probe", metadata)
#: In MLflow's database, which may be this one or another. It is in no backup, hence another kind of name.
mlflow_probe = probe_table("_hokusai_probe", sa.MetaData())
#: Together larger than a page of PostgreSQL, each too small to be compressed: a disk that is full has no room for them.
_FILLERS = [{"filler": "x" * 1900}] * 5
#: Seconds for which a write that succeeded is not tried again: ``/ready`` is public.
PROBE_SECONDS = 5

WAIT_SECONDS = 5
#: Each commit waits for the disk: with NORMAL, a loss of power may undo what was acknowledged, revocations among it.
SQLITE_SYNCHRONOUS = "FULL"
#: Transactions that ``run`` can have in progress at a time.
_THREADS = 4
_DRIVERS = {"sqlite": ("sqlite+aiosqlite", "sqlite"), "postgresql": ("postgresql+psycopg", "postgresql+psycopg")}
MIGRATION_LOCK = 0x686F6B75  # of one migration at a time on PostgreSQL; the number is arbitrary


class _Abandoned(Exception):
    """Nobody waits for the transaction any more, so it is rolled back."""


class Database:
    """Connections to our own tables.

    ``run`` executes a whole transaction in one call. ``begin`` opens one that commits at the end of the block,
    for transactions that also wait for something else. Both raise ``errors.DatabaseDown``, ``DatabaseReadOnly``,
    ``DatabaseFull``, ``DatabaseCredentials`` or ``SchemaMissing`` where the database is the cause. They wait
    ``WAIT_SECONDS`` for a connection, a statement or a lock, and twice that for the whole transaction, unless ``begin``
    is given other ``seconds``.
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
        self._blocking = sa.create_engine(self._blocking_url, pool_size=_THREADS + 2, **options)  # and ``blocking``
        self._connected = weakref.WeakSet[Any]()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="database")
        self._checking = asyncio.Lock()
        self._written_until = 0.0
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
    def blocking(self, *, durable: bool = True) -> Iterator[sa.Connection]:
        """A transaction on the caller's own thread, which commits at the end of the block. Raises as ``begin`` does.

        One that is not ``durable`` does not wait for the disk: a loss of power may undo it, the end of a process not.
        """
        with (
            translate_errors(),
            self._blocking.connect() as connection,
            connection.begin() if durable else self._unsynced(connection),
        ):
            yield connection

    @contextmanager
    def _unsynced(self, connection: sa.Connection) -> Iterator[None]:
        if not self.is_sqlite:
            with connection.begin():
                connection.exec_driver_sql("SET LOCAL synchronous_commit TO off")
                yield
            return
        connection.exec_driver_sql("PRAGMA synchronous=NORMAL")  # not allowed in a transaction
        connection.rollback()
        try:
            with connection.begin():
                yield
        finally:
            connection.exec_driver_sql(f"PRAGMA synchronous={SQLITE_SYNCHRONOUS}")

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

    async def check(self, table: sa.Table = probe) -> None:
        """Raises as ``begin`` does unless ``table`` can be read and written.

        Every call reads. A call writes where the last write was more than ``PROBE_SECONDS`` ago, or failed. What is
        written is committed: SQLite would not notice a full disk before.
        """
        async with self._checking:
            if time.monotonic() < self._written_until:
                await self.rows(sa.select(table).limit(1))
                return
            await self.run(partial(_write_probe, table))
            self._written_until = time.monotonic() + PROBE_SECONDS

    def refuse_missing(self) -> None:
        """Raises ``errors.DatabaseUnreachable`` for a SQLite file that does not exist: a connection would create it."""
        file = self._blocking_url.database
        if self.is_sqlite and file and not Path(file).exists():
            raise errors.DatabaseUnreachable(setting="HOKUSAI_DATABASE_URL", reason=f"{file} does not exist")

    async def migrate(self, revision: str = "head", *, restoring: bool = False) -> None:
        """Migrate our tables to this code's schema, or to an older ``revision``. Runs at start, before any request.

        A newer schema is left alone where it says that this code may run on it, so that two versions can run side
        by side in a rolling update, and an update can be rolled back. Raises ``errors.DatabaseNewer``,
        ``errors.DatabaseUnreachable``, ``errors.DatabaseReadOnly``, ``errors.DatabaseFull`` or, unless this is the
        restore itself (``restoring``), ``errors.RestoreUnfinished``.
        """
        await asyncio.to_thread(self._migrate, revision, restoring)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._end_connections()  # a database that hangs must not delay our own end
        self._blocking.dispose()
        await self._engine.dispose()

    def refuse_newer(self, revision: str | None) -> None:
        """Raises ``errors.DatabaseNewer`` where this code does not know the schema's revision."""
        if revision and revision not in _known():
            raise errors.DatabaseNewer(database=self.name, revision=revision, version=version("hokusai"))

    def _migrate(self, revision: str, restoring: bool) -> None:
        config = _alembic()
        # A migration may take its time, but a database that does not answer is not waited for without end.
        connect = {} if self.is_sqlite else _postgres_connect()
        engine = sa.create_engine(self._blocking_url, poolclass=sa.NullPool, connect_args=connect)
        if self.is_sqlite:
            event.listen(engine, "connect", _sqlite_pragmas)
            event.listen(engine, "begin", _begin_on_sqlite)
        try:
            with engine.begin() as connection:
                if not self.is_sqlite:
                    connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
                if not restoring:
                    restore_mark.refuse(connection)
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
            raise start_error(error, "HOKUSAI_DATABASE_URL") from error
        finally:
            engine.dispose()


def _write_probe(table: sa.Table, connection: sa.Connection) -> None:
    connection.execute(table.insert(), _FILLERS)
    connection.execute(table.delete())


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


def _postgres_connect() -> dict[str, Any]:
    return {
        "connect_timeout": WAIT_SECONDS,
        "tcp_user_timeout": WAIT_SECONDS * 1000,
        "keepalives_idle": WAIT_SECONDS,
        "keepalives_interval": 2,
        "keepalives_count": 3,
    }


def _postgres_options() -> dict[str, Any]:
    milliseconds = WAIT_SECONDS * 1000
    return {
        **_postgres_connect(),
        "options": f"-c statement_timeout={milliseconds} -c idle_in_transaction_session_timeout={14 * milliseconds}",
    }


def _sqlite_pragmas(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    busy = f"busy_timeout={WAIT_SECONDS * 1000}"
    for pragma in ("journal_mode=WAL", f"synchronous={SQLITE_SYNCHRONOUS}", "foreign_keys=ON", busy):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_on_sqlite(connection: sa.Connection) -> None:
    """Python's driver begins a transaction before an INSERT, not before a CREATE TABLE: each would commit by itself."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turns what a driver raises in the block into an error of ours."""
    try:
        yield
    except (exc.SQLAlchemyError, OSError) as error:
        found = outage(error)
        if found is None and not isinstance(error, exc.OperationalError | exc.InterfaceError | OSError):
            raise
        log.error("the database failed: %s", error)
        raise (found or errors.DatabaseDown)() from error


def first_line(error: BaseException) -> str:
    """What the driver said, in one line of at most 300 characters: the rest is SQL, or repeats it."""
    text = str(getattr(error, "orig", error)).strip() or type(error).__name__
    return text.splitlines()[0][:300]


def start_error(error: Exception, setting: str) -> errors.HokusaiError:
    """Why a server cannot start with the database of ``setting``: an outage, or what will not be over by itself."""
    found = outage_behind(error)
    if found in {errors.DatabaseReadOnly, errors.DatabaseFull}:
        return found()
    temporary = found is errors.DatabaseDown
    return errors.DatabaseUnreachable(setting=setting, reason=first_line(error), temporary=temporary)
