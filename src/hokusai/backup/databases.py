"""The contract for copying one database, and the databases of an installation. Everything here blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from hokusai.backup.manifest import Part
from hokusai.backup.postgres import PostgresCopy
from hokusai.backup.sqlite import SqliteCopy
from hokusai.database import VERSION_TABLE, Database
from hokusai.restore_mark import TABLE as MARK
from hokusai.restore_mark import RestoreMark
from hokusai.settings import Settings

Finish = Callable[[sa.Connection], None]


class Copy(Protocol):
    """One database of an installation, ``hokusai`` or ``mlflow``. ``setting`` is the setting that names it."""

    name: str
    kind: str
    setting: str
    #: Where it is, without user and password.
    place: str

    def save(self, directory: Path) -> AbstractContextManager[tuple[sa.Connection, Part]]:
        """Write all of it into a new directory, as it is at one moment, even while others write.

        The connection sees the same moment, until the block ends. Raises ``errors.DatabaseUnreachable``.
        """

    def refuse_used(self) -> None:
        """Raises ``errors.RestoreIntoUse`` unless it is empty or does not exist."""

    def clear(self) -> None:
        """Remove what an unfinished restore has left, except for its mark."""

    def load(self, directory: Path, part: Part, finish: Finish) -> None:
        """Restore what ``save`` wrote.

        All of it becomes visible, and is durable, after ``finish`` has returned, or nothing.
        """

    def mark(self) -> RestoreMark | None:
        """The mark of an unfinished restore. It is in our database only, and stands for the whole installation."""

    def write_mark(self, mark: RestoreMark) -> None:
        """Put a mark into an empty database, or in place of another mark. It is durable when this returns.

        Raises ``errors.RestoreIntoUse`` where the database is neither.
        """

    def remove_mark(self) -> None:
        """Leave the database as empty as it was before ``write_mark``."""


def copies(settings: Settings) -> Iterator[Copy]:
    """MLflow's before ours (see the package). Leaves out MLflow's if another server stores it."""
    snapshots: dict[URL, str] = {}
    if keeps_mlflow(settings):
        yield _copy("mlflow", settings.mlflow_database_url, snapshots)
    yield _copy("hokusai", settings.own_database_url, snapshots)


def keeps_mlflow(settings: Settings) -> bool:
    if settings.role == "auth":
        return False
    return not settings.tracking_url or settings.tracking_database_url is not None


def _copy(name: str, url: str, snapshots: dict[URL, str]) -> Copy:
    setting = "HOKUSAI_DATABASE_URL" if name == "hokusai" else "HOKUSAI_TRACKING_DATABASE_URL"
    version_table = VERSION_TABLE if name == "hokusai" else "alembic_version"
    if make_url(url).get_backend_name() == "sqlite":
        return SqliteCopy(name, Path(make_url(url).database or ""), setting=setting, version_table=version_table)
    owns, create = (_is_ours, partial(_create_ours, url)) if name == "hokusai" else _mlflow(url)
    return PostgresCopy(
        name, url, setting=setting, version_table=version_table, owns=owns, create=create, snapshots=snapshots
    )


def _is_ours(table: str) -> bool:
    return table.startswith("hokusai_") and table != MARK


def _create_ours(url: str, revision: str) -> None:
    async def create() -> None:
        database = Database(url)
        try:
            await database.migrate(revision, restoring=True)
        finally:
            await database.close()

    asyncio.run(create())


def _mlflow(url: str) -> tuple[Callable[[str], bool], Callable[[str], None]]:
    from hokusai.tracking import schema

    return schema.is_mlflows, partial(schema.create, url)
