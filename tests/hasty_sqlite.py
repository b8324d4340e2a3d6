"""SQLite that does not wait for the disk: nothing here outlives the machine, and a killed process loses nothing by it.

For the tests' own processes and for what is forked (``tests/product.py``). A server that is started with ``fork=False``
waits for the disk as everybody's does.
"""

from __future__ import annotations

from sqlite3 import Connection
from typing import Any

from sqlalchemy import Engine, event

from hokusai import database


def apply() -> None:
    """To all databases that are opened from now on: ours, and MLflow's."""
    database.SQLITE_SYNCHRONOUS = "OFF"
    event.listen(Engine, "connect", _turn_off)


def _turn_off(connection: Any, _record: object) -> None:
    if isinstance(connection, Connection):
        connection.execute("PRAGMA synchronous=OFF")
