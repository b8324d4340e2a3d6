"""MLflow for MLflow's processes, with a database that fails in the middle of a request, where the request says so.

``X-Interrupt: 3`` ends the connection before the third statement, counting commits. The answer says in
``X-Interrupted`` whether it came to that.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterable
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy import event

from hokusai.tracking.processes import mlflow_app

_left: int | None = None
_interrupted = False


def load(database_url: str) -> tuple[Callable[..., Iterable[bytes]], list[tuple[str, str]]]:
    mlflow, routes = mlflow_app.load(database_url)

    def count(connection: sa.Connection, *_: object) -> None:
        global _left, _interrupted
        if _left is None:
            return
        _left -= 1
        if _left == 0:
            _interrupted, _left = True, None
            _end(database_url, connection)

    event.listen(sa.Engine, "before_cursor_execute", count)
    event.listen(sa.Engine, "commit", count)

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        global _left, _interrupted
        _interrupted, _left = False, int(environ.get("HTTP_X_INTERRUPT", 0)) or None

        def start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> object:
            return start_response(status, [*headers, ("X-Interrupted", str(_interrupted))])

        return mlflow(environ, start)

    return app, routes


def _end(database_url: str, connection: sa.Connection) -> None:
    """As an administrator would, or PostgreSQL itself when it shuts down."""
    driver: Any = connection.connection.driver_connection
    with psycopg.connect(database_url, autocommit=True) as administrator:
        administrator.execute("SELECT pg_terminate_backend(%s)", (driver.info.backend_pid,))
    select.select([driver], [], [], 5)  # it says so before it goes
