"""SQLite in tests waits for no disk, in a database of ours and in one of MLflow's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import sqlalchemy as sa

from hokusai.database import Database

OFF, FULL = 0, 2

#: What the product does where no test has changed it: also after a transaction that does not wait for the disk.
_PRODUCT = """
import sys, sqlalchemy as sa
from hokusai.database import Database
database = Database(sys.argv[1])
for durable in (True, False, True):
    with database.blocking(durable=durable) as connection:
        print(connection.scalar(sa.text("PRAGMA synchronous")), end=" ")
"""


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


def test_the_product_waits_for_the_disk(tmp_path: Path) -> None:
    """Except where a change begins, which is not answered yet."""
    command = [sys.executable, "-c", _PRODUCT, f"sqlite:///{tmp_path / 'hokusai.db'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert [int(found) for found in done.stdout.split()] == [FULL, 1, FULL]
