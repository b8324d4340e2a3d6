from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.cloud import Checkout, Cloud, RecordingEngine, serving


@pytest.fixture(scope="session")
def account() -> Iterator[Cloud]:
    with serving() as cloud:
        yield cloud


@pytest.fixture
def cloud(account: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """An empty account; this process's environment leads there."""
    account.empty()
    for name, value in account.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ENVIRONMENT", raising=False)
    return account


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "checkout")


@pytest.fixture
def engine(tmp_path: Path, cloud: Cloud) -> RecordingEngine:
    return RecordingEngine(tmp_path / "bin", cloud)
