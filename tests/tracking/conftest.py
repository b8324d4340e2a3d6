"""Both MLflows, for the one contract suite: in this process, and a stock server of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from hokusai.tracking import Engine, LocalEngine, RemoteEngine, Tracking

TIMEOUT = 30


@pytest.fixture(scope="session")
def local_database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One for all: MLflow keeps its stores in module globals."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture(params=["local", "remote"])
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "local":
        return LocalEngine(request.getfixturevalue("local_database"), threads=4, timeout=TIMEOUT)
    return RemoteEngine(request.getfixturevalue("stock_server").url, timeout=TIMEOUT)


@pytest.fixture
async def tracking(engine: Engine) -> AsyncIterator[Tracking]:
    found = Tracking(engine, timeout=TIMEOUT)
    await found.start()
    yield found
    await found.close()
