"""MLflow's Flask app in this process: its own tables, none of its job runners or assistant."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, NullPool, create_engine, event, make_url, text

from hokusai import errors
from hokusai.database import mlflow_probe, start_error
from hokusai.mlflow_api import ARTIFACTS_SCHEME, V2, WORKSPACE_HEADER
from hokusai.tracking.engine import MLFLOW_MINOR
from hokusai.tracking.processes import met_outages, row_limits
from hokusai.tracking.processes.wsgi import WsgiApp, call

_MIGRATION_LOCK = 0x6D6C666C  # any number but the one for our own tables
_CONNECT_SECONDS = 5
_SETTING = "HOKUSAI_TRACKING_DATABASE_URL"

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


def load(database_url: str) -> tuple[WsgiApp, list[tuple[str, str]]]:
    """Import MLflow and migrate its tables; its WSGI app, and its own (method, path) pairs.

    No connection to the database is left open, so that the process can be forked. Raises as ``import_mlflow`` does,
    and as ``database.start_error`` says.
    """
    app = import_mlflow()
    url = database_url.replace("postgresql://", "postgresql+psycopg://", 1)
    os.environ["_MLFLOW_SERVER_FILE_STORE"] = url
    from mlflow.server import handlers

    met_outages.watch()
    try:
        if make_url(url).get_backend_name() == "sqlite":
            event.listen(Engine, "connect", _write_ahead)
        with _alone(url):
            handlers.initialize_backend_stores(url, None, ARTIFACTS_SCHEME)
            _create_probe(url)
    except Exception as error:
        raise start_error(error, _SETTING) from error
    row_limits.enforce()
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    _warm_up(app)
    _close_connections()
    gc.collect()
    gc.freeze()  # a collection in a forked process would copy every page that it looks at
    return app, sorted((method, path) for path, _, methods in handlers.get_endpoints() for method in methods)


def import_mlflow() -> WsgiApp:
    """Import MLflow's server, with the settings it reads while it is imported; returns its WSGI app.

    Raises ``errors.ExtraMissing``, or ``errors.TrackingUnreachable`` for a version that was not reviewed.
    """
    os.environ.update(_ENVIRONMENT)
    try:
        from mlflow.server import app
        from mlflow.version import VERSION
    except ModuleNotFoundError as error:
        raise errors.ExtraMissing(module=error.name or str(error)) from error
    # ``runs/search`` tries to import it, at every request: without its requirements that fails, after a twentieth of a
    # second. Hokusai is the authentication.
    sys.modules["mlflow.server.auth"] = None  # type: ignore[assignment]
    _take_over_logging()
    if not VERSION.startswith(MLFLOW_MINOR + "."):
        reason = f"it is {VERSION}, and {MLFLOW_MINOR} was reviewed"
        raise errors.TrackingUnreachable(where="beside this server", reason=reason)
    found: WsgiApp = app
    return found


def _take_over_logging() -> None:
    """MLflow's log lines go where ours go: its own handler would write SQL parameters as a client sent them."""
    for name in ("mlflow", "sqlalchemy.engine", "alembic", "huey"):
        theirs = logging.getLogger(name)
        theirs.handlers.clear()
        theirs.propagate = True


def _write_ahead(connection: Any, _record: object) -> None:
    """Several processes write: in SQLite's other modes a reader holds up a writer, and a writer every reader."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout = 20000")  # MLflow's own, which it sets later
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.close()


#: Requests that find nothing: what MLflow prepares at the first of its kind is then there in every forked process.
_FIRST_REQUESTS: tuple[tuple[str, str, str, dict[str, object]], ...] = (
    ("GET", "/experiments/search", "max_results=1", {}),
    ("GET", "/experiments/get-by-name", "experiment_name=-", {}),
    ("GET", "/runs/get", "run_id=-", {}),
    ("POST", "/runs/search", "", {"experiment_ids": ["-1"], "filter": "tags.a = '1'", "max_results": 1}),
    ("POST", "/logged-models/search", "", {"experiment_ids": ["-1"], "max_results": 1}),
    ("GET", "/registered-models/get", "name=-", {}),
    ("GET", "/registered-models/search", "max_results=1", {}),
    ("GET", "/model-versions/search", "max_results=1", {}),
)


def _warm_up(app: WsgiApp) -> None:
    for method, path, query, fields in _FIRST_REQUESTS:
        body = json.dumps(fields).encode() if fields else b""
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        headers.append((WORKSPACE_HEADER, "default"))
        call(app, {"method": method, "path": V2 + path, "query": query, "headers": headers}, body)


def _close_connections() -> None:
    """None is open when a process is forked: two processes must not speak over one connection."""
    from mlflow.server import handlers
    from mlflow.server.workspace_helpers import _get_workspace_store

    for store in (handlers._get_tracking_store(), handlers._get_model_registry_store(), _get_workspace_store()):
        engine = getattr(store, "engine", None) or getattr(store, "_engine", None)
        if engine is not None:
            engine.dispose()


def _create_probe(url: str) -> None:
    """The table in which the gateway tries out whether this database takes writes."""
    engine = create_engine(url, poolclass=NullPool)
    mlflow_probe.create(engine, checkfirst=True)
    engine.dispose()


@contextlib.contextmanager
def _alone(url: str) -> Iterator[None]:
    """A lock under which one process at a time migrates MLflow's tables: MLflow takes none itself."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        with Path(f"{parsed.database}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        return
    # This is the first connection: MLflow's own attempts to connect would take minutes.
    engine = create_engine(parsed, poolclass=NullPool, connect_args={"connect_timeout": _CONNECT_SECONDS})
    try:
        with engine.connect() as connection:
            connection.execute(text(f"SELECT pg_advisory_lock({_MIGRATION_LOCK})"))
            yield
    finally:
        engine.dispose()
