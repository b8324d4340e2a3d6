"""MLflow in this process: its Flask app, its own tables, none of its job runners or assistant."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from sqlalchemy import NullPool, create_engine, make_url, text
from starlette.types import Receive, Scope, Send

from hokusai import errors
from hokusai.database import first_line
from hokusai.mlflow_api import ARTIFACTS_SCHEME
from hokusai.tracking.engine import MLFLOW_MINOR
from hokusai.tracking.wsgi import Bridge, WsgiApp

log = logging.getLogger("hokusai.tracking")

_MIGRATION_LOCK = 0x6D6C666C  # any number but the one for our own tables

#: What MLflow reads when it is imported. Artifacts never pass through it: its destination does not exist, so a route
#: that tried to read one would fail instead of finding a tenant's file.
_ENVIRONMENT = {
    "MLFLOW_ENABLE_WORKSPACES": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "true",  # the gateway checks host and origin
    "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    "_MLFLOW_SERVER_ARTIFACT_ROOT": ARTIFACTS_SCHEME,
    "_MLFLOW_SERVER_ARTIFACT_DESTINATION": "/nonexistent/artifacts-belong-to-hokusai",
}


class LocalEngine:
    """MLflow's Flask app over ``database_url``, on a bounded pool of threads.

    One per process: MLflow keeps its stores in module globals.
    """

    def __init__(self, database_url: str, *, threads: int, timeout: float) -> None:
        self.name = "in this process"
        self._url = _with_driver(database_url)
        self._threads = threads
        self._timeout = timeout
        self._bridge: Bridge | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._bridge is None:
            raise errors.TrackingDown()
        await self._bridge(scope, receive, send)

    async def start(self) -> None:
        self._bridge = await asyncio.to_thread(self._load)

    async def close(self) -> None:
        if self._bridge:
            self._bridge.close()

    def routes(self) -> Iterable[tuple[str, str]]:
        from mlflow.server import handlers

        for path, _, methods in handlers.get_endpoints():
            yield from ((method, path) for method in methods)

    def _load(self) -> Bridge:
        app = load_mlflow()
        os.environ["_MLFLOW_SERVER_FILE_STORE"] = self._url
        try:
            from mlflow.server import handlers

            with _alone(self._url):
                handlers.initialize_backend_stores(self._url, None, _ENVIRONMENT["_MLFLOW_SERVER_ARTIFACT_ROOT"])
        except Exception as error:
            raise errors.DatabaseUnreachable(
                setting="HOKUSAI_TRACKING_DATABASE_URL", reason=first_line(error)
            ) from error
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        return Bridge(app, threads=self._threads, timeout=self._timeout)


def load_mlflow() -> WsgiApp:
    """Import MLflow's server, with the settings it reads while it is imported; returns its WSGI app.

    Raises ``errors.ExtraMissing``, or ``errors.TrackingUnreachable`` for a version that was not reviewed.
    """
    os.environ.update(_ENVIRONMENT)
    try:
        from mlflow.server import app
        from mlflow.version import VERSION
    except ModuleNotFoundError as error:
        raise errors.ExtraMissing(module=error.name or str(error)) from error
    _take_over_logging()
    if not VERSION.startswith(MLFLOW_MINOR + "."):
        reason = f"it is {VERSION}, and {MLFLOW_MINOR} was reviewed"
        raise errors.TrackingUnreachable(where="in this process", reason=reason)
    found: WsgiApp = app
    return found


def _take_over_logging() -> None:
    """MLflow's log lines go where ours go: its own handler would write SQL parameters as a client sent them."""
    for name in ("mlflow", "sqlalchemy.engine", "alembic", "huey"):
        theirs = logging.getLogger(name)
        theirs.handlers.clear()
        theirs.propagate = True


@contextlib.contextmanager
def _alone(url: str) -> Iterator[None]:
    """A lock under which one process at a time migrates MLflow's tables: MLflow takes none itself."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        with Path(f"{parsed.database}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        return
    engine = create_engine(parsed, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            connection.execute(text(f"SELECT pg_advisory_lock({_MIGRATION_LOCK})"))
            yield
    finally:
        engine.dispose()


def _with_driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)
