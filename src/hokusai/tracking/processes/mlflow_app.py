"""MLflow's Flask app in this process: its own tables, none of its job runners or assistant."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import NullPool, create_engine, make_url, text

from hokusai import errors
from hokusai.tracking.engine import MLFLOW_MINOR
from hokusai.tracking.processes.wsgi import WsgiApp

_MIGRATION_LOCK = 0x6D6C666C  # any constant that is not the one for our own tables
_ARTIFACT_ROOT = "mlflow-artifacts:/"

#: What MLflow reads when it is imported. Artifacts never pass through it: the destination is a place
#: that does not exist, so a route that tried would fail instead of finding a tenant's file.
_ENVIRONMENT = {
    "MLFLOW_ENABLE_WORKSPACES": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "true",  # host and origin are the gateway's business
    "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    "_MLFLOW_SERVER_ARTIFACT_ROOT": _ARTIFACT_ROOT,
    "_MLFLOW_SERVER_ARTIFACT_DESTINATION": "/nonexistent/artifacts-belong-to-hokusai",
}


def load(database_url: str) -> tuple[WsgiApp, list[tuple[str, str]]]:
    """Import MLflow and bring its tables up to date; its app, and its own (method, path) pairs.

    Raises ``errors.ExtraMissing``, ``TrackingUnreachable`` (another version than the reviewed one) or
    ``DatabaseUnreachable``.
    """
    url = database_url.replace("postgresql://", "postgresql+psycopg://", 1)
    os.environ.update({**_ENVIRONMENT, "_MLFLOW_SERVER_FILE_STORE": url})
    try:
        from mlflow.server import app, handlers
        from mlflow.version import VERSION
    except ModuleNotFoundError as error:
        raise errors.ExtraMissing(module=error.name) from error
    _take_over_logging()
    if not VERSION.startswith(MLFLOW_MINOR + "."):
        reason = f"it is {VERSION}, and {MLFLOW_MINOR} was reviewed"
        raise errors.TrackingUnreachable(url="this process", reason=reason)
    try:
        with _alone(url):
            handlers.initialize_backend_stores(url, None, _ARTIFACT_ROOT)
    except Exception as error:
        reason = str(error).strip().splitlines()[0][:300]
        raise errors.DatabaseUnreachable(setting="HOKUSAI_TRACKING_DATABASE_URL", reason=reason) from error
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    _close_connections()
    gc.collect()
    gc.freeze()  # shared with every process that is forked: the collector must not write to it
    return app, sorted((method, path) for path, _, methods in handlers.get_endpoints() for method in methods)


def _close_connections() -> None:
    """None is open when a process is forked: two processes must not speak over one connection."""
    from mlflow.server import handlers
    from mlflow.server.workspace_helpers import _get_workspace_store

    for store in (handlers._get_tracking_store(), handlers._get_model_registry_store(), _get_workspace_store()):
        engine = getattr(store, "engine", None) or getattr(store, "_engine", None)
        if engine is not None:
            engine.dispose()


def _take_over_logging() -> None:
    """MLflow's lines go where ours go: its own handler writes parameters of SQL as a client sent them."""
    theirs = logging.getLogger("mlflow")
    theirs.handlers.clear()
    theirs.propagate = True


@contextlib.contextmanager
def _alone(url: str) -> Iterator[None]:
    """One process at a time brings MLflow's tables up to date: it takes no lock of its own."""
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
