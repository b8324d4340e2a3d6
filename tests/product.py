"""Importing this imports the whole product, with all that it imports late: for ``tests.fork_server``."""

from __future__ import annotations

import importlib
import multiprocessing
import os

from hokusai.tracking.processes import fork_server_client
from hokusai.tracking.processes.mlflow_app import import_mlflow
from tests import hasty_sqlite

_LATE = (
    "hokusai.cli",
    "hokusai.server",
    "hokusai.client",
    "hokusai.doctor",
    "aiosqlite",
    "pydantic.v1",
    "uvicorn.lifespan.off",
    "uvicorn.loops.uvloop",
    # MLflow's server, when it opens its database:
    "mlflow.store.model_registry.sqlalchemy_workspace_store",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "mlflow.store.workspace.sqlalchemy_store",
    # The doctor's round with a stock client:
    "mlflow.pyfunc",
    "mlflow.sklearn",
    "sklearn.linear_model",
)

hasty_sqlite.apply()
import_mlflow()
for name in _LATE:
    importlib.import_module(name)

# A server's MLflow processes come from here as well, and its workers.
multiprocessing.set_executable(os.environ["FORKED_PYTHON"])
fork_server_client.PYTHON = os.environ["FORKED_PYTHON"]
