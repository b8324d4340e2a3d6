"""SQLite in tests waits for no disk, in a database of ours and in one of MLflow's."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from hokusai.database import Database

OFF = 0


async def test_a_database_of_ours(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'hokusai.db'}")
    async with database.begin() as connection:
        assert await connection.scalar(sa.text("PRAGMA synchronous")) == OFF
    with database.blocking() as blocking:
        assert blocking.scalar(sa.text("PRAGMA synchronous")) == OFF
    await database.close()


def test_another_database(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'mlflow.db'}")
    with engine.connect() as connection:
        assert connection.scalar(sa.text("PRAGMA synchronous")) == OFF
    engine.dispose()
