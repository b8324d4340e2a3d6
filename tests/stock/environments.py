"""Environments of their own for stock MLflow clients."""

from __future__ import annotations

import sys

import pytest
from scripts import environments
from scripts.environments import Environment

__all__ = ["Environment", "environment"]


def environment(version: str) -> Environment:
    """The environment of that MLflow version, made if need be. Skips loudly where it cannot be."""
    if sys.version_info[:2] != environments.PYTHON:
        wanted = ".".join(map(str, environments.PYTHON))
        pytest.skip(f"the stock clients are pinned for Python {wanted}, and this is {sys.version[:4]}")
    return environments.environment(f"mlflow-{version}")
