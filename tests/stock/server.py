"""A stock ``mlflow server``, as its users start it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx2

from tests.serving import environment as clean
from tests.stock.environments import Environment


class StockServer:
    """One worker on SQLite, workspaces enabled unless told otherwise, until ``stop``."""

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
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.log.close()
