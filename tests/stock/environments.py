"""Stock MLflow clients, each in its own environment, and the script that a model developer would run."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from scripts import environments
from scripts.environments import Environment
from tests.serving import environment as clean

__all__ = ["Environment", "environment", "run", "scenario"]

SCENARIO = Path(__file__).with_name("scenario.py")


def environment(version: str) -> Environment:
    """The environment of that MLflow version, made if need be. Skips loudly where it cannot be."""
    try:
        return environments.environment(f"mlflow-{version}")
    except environments.NoInterpreter as error:
        pytest.skip(str(error))


def run(stock: Environment, *command: str, place: Path, **variables: str) -> str:
    """Run a program of it in ``place``; returns what it printed, and fails with all of it."""
    done = subprocess.run(
        [stock.program(command[0]), *command[1:]],
        cwd=place,
        env=clean(MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_HTTP_REQUEST_MAX_RETRIES="2", **variables),
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def scenario(stock: Environment, uri: str, key: str, place: Path) -> dict[str, str]:
    """Run ``scenario.py`` against the server at ``uri``; returns what it saw."""
    variables = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_TRACKING_TOKEN": key}
    found = run(stock, "python", str(SCENARIO), "größe-model", str(place), place=place, **variables)
    return dict(json.loads(found.splitlines()[-1]))
