"""Stores, ledgers and services for the artifact tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.artifacts.service import Service, create_tables, running


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the module's service keeps its files."""
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="module")
def service(directory: Path) -> Iterator[Service]:
    """One service on a local disk and SQLite for a test module."""
    database = f"sqlite:///{directory / 'hokusai.db'}"
    create_tables(database)
    with running((directory / "store").as_uri(), database) as found:
        yield found
