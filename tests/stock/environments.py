"""Stock MLflow clients, each in its own environment, and the script that a model developer would run."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts import environments
from scripts.environments import Environment
from tests import forked
from tests.serving import environment as clean

__all__ = ["Environment", "environment", "forking", "run", "scenario"]

SCENARIO = Path(__file__).with_name("scenario.py")


def environment(version: str) -> Environment:
    """The environment of that MLflow version, made if need be. Skips loudly where it cannot be."""
    try:
        return environments.environment(f"mlflow-{version}")
    except environments.NoInterpreter as error:
        pytest.skip(str(error))


@contextmanager
def forking(stock: Environment) -> Iterator[str]:
    """The address of a fork server with that client in it, for ``run`` and ``scenario``."""
    client = ("mlflow", "mlflow.cli", "mlflow.pyfunc", "mlflow.sklearn", "sklearn.linear_model")
    with forked.fork_server(stock.program("python"), *client) as address:
        yield address


def run(stock: Environment, *command: str, place: Path, server: str | None = None, **variables: str) -> str:
    """Run a program of it in ``place``; returns what it printed, and fails with all of it.

    With a fork ``server``, it need not import the client: that takes longer than what most programs do with it.
    """
    line = [stock.program(command[0]), *command[1:]]
    environ = clean(MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_HTTP_REQUEST_MAX_RETRIES="2", **variables)
    if server:
        done = forked.run(line, cwd=place, env=environ, timeout=170, server=server)
    else:
        done = subprocess.run(line, cwd=place, env=environ, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def scenario(stock: Environment, uri: str, key: str, place: Path, server: str | None = None) -> dict[str, str]:
    """Run ``scenario.py`` against the server at ``uri``; returns what it saw."""
    variables = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_TRACKING_TOKEN": key}
    found = run(stock, "python", str(SCENARIO), "größe-model", str(place), place=place, server=server, **variables)
    return dict(json.loads(found.splitlines()[-1]))
