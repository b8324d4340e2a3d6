"""Both MLflows, for the one contract suite: in this process, and a stock server of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest

from hokusai.tracking import Engine, LocalEngine, RemoteEngine, Tracking
from tests.serving import environment as clean
from tests.stock.environments import Environment, environment

TIMEOUT = 30


@pytest.fixture(scope="session")
def stock_317() -> Environment:
    return environment("3.17.2")


class StockServer:
    """``mlflow server`` as its users start it, until ``stop``."""

    def __init__(self, python: Environment, place: Path, *options: str, workspaces: bool = True) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        workspaces_option = ["--enable-workspaces"] if workspaces else []
        self.log = (place / "mlflow.log").open("w")
        self.process = subprocess.Popen(
            [
                *(python.program("mlflow"), "server", "--host", "127.0.0.1", "--port", str(self.port)),
                *("--workers", "1", "--backend-store-uri", f"sqlite:///{place / 'mlflow.db'}"),
                *("--artifacts-destination", str(place / "artifacts"), *workspaces_option, *options),
            ],
            env=clean(MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"),
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait(self, seconds: float = 90) -> StockServer:
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if httpx2.get(f"{self.url}/version", trust_env=False).is_success:
                    return self
            except httpx2.HTTPError:
                time.sleep(0.2)
        raise AssertionError("the stock server did not answer: " + Path(self.log.name).read_text()[-2000:])

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, 15)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, 9)
                self.process.wait()
        self.log.close()


@pytest.fixture(scope="session")
def stock_server(stock_317: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StockServer]:
    server = StockServer(stock_317, tmp_path_factory.mktemp("stock"))
    try:
        yield server.wait()
    finally:
        server.stop()


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
