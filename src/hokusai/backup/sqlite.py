"""A SQLite database, copied as one file."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa

from hokusai import disk, errors, restore_mark
from hokusai.backup.manifest import Part
from hokusai.restore_mark import RestoreMark

_WAIT_SECONDS = 30


class SqliteCopy:
    """Copied by SQLite's online backup in one step. In WAL mode, which we use, that blocks no writer."""

    kind = "sqlite"

    def __init__(self, name: str, file: Path, *, setting: str, version_table: str) -> None:
        self.name = name
        self.setting = setting
        self.place = str(file.absolute())
        self._file = file
        self._loaded = file.with_name(file.name + ".restoring")
        self._version_table = version_table

    @contextmanager
    def save(self, directory: Path) -> Iterator[tuple[sa.Connection, Part]]:
        directory.mkdir()
        copy = directory / "database.db"
        try:
            self._save(copy)
        except sqlite3.Error as error:
            raise errors.DatabaseUnreachable(setting=self.setting, reason=f"{self._file}: {error}") from None
        with _connected(copy) as connection:
            revision = connection.execute(sa.text(f"SELECT version_num FROM {self._version_table}")).scalar()  # noqa: S608
            yield connection, Part(self.kind, revision)

    def refuse_used(self) -> None:
        if self._file.exists() and not self.mark():
            raise errors.RestoreIntoUse(place=str(self._file))

    def clear(self) -> None:
        """Nothing: the file is replaced."""

    def load(self, directory: Path, part: Part, finish: Callable[[sa.Connection], None]) -> None:
        with self._replaced():
            shutil.copyfile(directory / "database.db", self._loaded)
            with _connected(self._loaded) as connection:
                finish(connection)
                connection.commit()

    def mark(self) -> RestoreMark | None:
        if not self._file.exists():
            return None
        with suppress(sa.exc.DatabaseError), _connected(self._file) as connection:  # for another kind of file
            return restore_mark.find(connection)
        return None

    def write_mark(self, mark: RestoreMark) -> None:
        self.refuse_used()
        with self._replaced(), _connected(self._loaded) as connection:
            restore_mark.write(connection, mark)
            connection.commit()

    def remove_mark(self) -> None:
        self._remove_logs(self._file)
        self._file.unlink()
        disk.sync(self._file.parent)

    @contextmanager
    def _replaced(self) -> Iterator[None]:
        """The block writes ``_loaded``, which then takes the place of the database, whole and durable."""
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._loaded.unlink(missing_ok=True)
        self._remove_logs(self._loaded)
        yield
        disk.sync(self._loaded)
        self._remove_logs(self._file)
        self._loaded.rename(self._file)
        disk.sync_names(self._file.parent)

    def _remove_logs(self, file: Path) -> None:
        """Of a process that was killed while it used the file before: SQLite would apply them to the next one."""
        for end in ("-journal", "-wal", "-shm"):
            file.with_name(file.name + end).unlink(missing_ok=True)

    def _save(self, copy: Path) -> None:
        with (
            closing(
                sqlite3.connect(f"{self._file.absolute().as_uri()}?mode=ro", uri=True, timeout=_WAIT_SECONDS)
            ) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")  # a single file, without a WAL beside it
            [(verdict,)] = target.execute("PRAGMA quick_check(1)").fetchall()
        if verdict != "ok":
            raise errors.DatabaseUnreachable(setting=self.setting, reason=f"{self._file} is damaged: {verdict}")


@contextmanager
def _connected(file: Path) -> Iterator[sa.Connection]:
    engine = sa.create_engine(f"sqlite:///{file}", poolclass=sa.NullPool)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()
