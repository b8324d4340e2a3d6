"""A SQLite database, copied as one file."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sa

from hokusai import errors
from hokusai.backup.manifest import Part

_WAIT_SECONDS = 30


class SqliteCopy:
    """Copied by SQLite's online backup in one step. In WAL mode, which we use, that blocks no writer."""

    kind = "sqlite"

    def __init__(self, name: str, file: Path, *, setting: str, version_table: str) -> None:
        self.name = name
        self.setting = setting
        self._file = file
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
        if self._file.exists():
            raise errors.RestoreIntoUse(place=str(self._file))

    def load(self, directory: Path, part: Part, finish: Callable[[sa.Connection], None]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        loaded = self._file.with_name(self._file.name + ".restoring")
        shutil.copyfile(directory / "database.db", loaded)
        with _connected(loaded) as connection:
            finish(connection)
            connection.commit()
        loaded.rename(self._file)

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
