"""The servers that are measured: Hokusai, and what people run today. Each has its own environment."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx2

from bench.processes import Session, session
from scripts.environments import Environment, environment, install_product

START_SECONDS = 120
_PASSWORD = secrets.token_urlsafe(16)  # of this run's servers, which listen on 127.0.0.1 alone


@dataclass(frozen=True)
class Server:
    """A running server. ``seconds`` is how long it took from process start to the first 200."""

    base: str
    session: Session
    seconds: float


class Peer(Protocol):
    """A server to measure. ``name`` is its name in the results, ``ready`` the path that answers 200 when it is up."""

    name: str
    ready: str

    def prepare(self) -> None:
        """Make its environment."""

    def command(self, port: int) -> list[str]: ...

    def variables(self) -> Mapping[str, str]: ...

    def headers(self, server: Server, directory: Path) -> Mapping[str, str]:
        """Make an ordinary user of that server, and return what its requests carry."""


class Mlflow:
    """``mlflow server`` with its defaults. ``workers`` None is its default number, 4."""

    name = "mlflow server"
    ready = "/health"
    pins = "mlflow-3.17.2"

    def __init__(self, *, workers: int | None = None) -> None:
        self._workers = ["--workers", str(workers)] if workers else []
        self._environment: Environment | None = None

    def prepare(self) -> None:
        self._environment = environment(self.pins)

    def command(self, port: int) -> list[str]:
        return [program(self._environment, "mlflow"), "server", "--port", str(port), *self._workers]

    def variables(self) -> Mapping[str, str]:
        return {"MLFLOW_DISABLE_TELEMETRY": "true"}  # it would try to reach the internet

    def headers(self, server: Server, directory: Path) -> Mapping[str, str]:
        return {}


class BasicAuth(Mlflow):
    """MLflow's own authentication: a user and a password, checked at every request."""

    name = "basic-auth"
    pins = "mlflow-3.17.2-auth"

    def command(self, port: int) -> list[str]:
        return [*super().command(port), "--app-name", "basic-auth"]

    def variables(self) -> Mapping[str, str]:
        return {
            **super().variables(),
            "MLFLOW_AUTH_ADMIN_PASSWORD": _PASSWORD,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": _PASSWORD,
        }

    def headers(self, server: Server, directory: Path) -> Mapping[str, str]:
        user = {"username": "trainer", "password": _PASSWORD[::-1]}
        with httpx2.Client(base_url=server.base, auth=("admin", _PASSWORD), timeout=60, trust_env=False) as http:
            http.post("/api/2.0/mlflow/users/create", json=user).raise_for_status()
        return {"Authorization": "Basic " + base64.b64encode(":".join(user.values()).encode()).decode()}


class Hokusai:
    """``hokusai serve`` with every check on, installed from this tree with what the server needs, and nothing more."""

    name = "hokusai"
    ready = "/ready"

    def __init__(self) -> None:
        self._environment: Environment | None = None

    def prepare(self) -> None:
        self._environment = environment("server")
        install_product(self._environment)

    def command(self, port: int) -> list[str]:
        return [program(self._environment, "hokusai"), "serve", "--data", "data", "--port", str(port)]

    def variables(self) -> Mapping[str, str]:
        # All load comes from one address and one workspace; it is still counted.
        return {"HOKUSAI_ADDRESS_RATE": "100000000/hour", "HOKUSAI_WORKSPACE_RATE": "100000000/hour"}

    def headers(self, server: Server, directory: Path) -> Mapping[str, str]:
        operator = (directory / "data" / "operator.key").read_text().strip()
        workspace = "bench"
        key: dict[str, Any] = {"name": "bench", "workspace": workspace, "permissions": ["write"], "rate": "100000000/h"}
        key["user_id"] = "trainer"  # whom the recorded registration names
        bearer = {"Authorization": f"Bearer {operator}"}
        with httpx2.Client(base_url=server.base, headers=bearer, timeout=60, trust_env=False) as http:
            http.post("/api/v1/workspaces", json={"name": workspace}).raise_for_status()
            made = http.post("/api/v1/keys", json=key).raise_for_status().json()
        return {"Authorization": f"Bearer {made['key']}"}


@contextmanager
def started(peer: Peer, directory: Path) -> Iterator[Server]:
    """The peer serving on a free port from ``directory``, until the block ends."""
    port = _free_port()
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("HOKUSAI_", "MLFLOW_", "_MLFLOW_"))
    }
    base = f"http://127.0.0.1:{port}"
    start = time.perf_counter()
    with session(peer.command(port), directory=directory, environment={**kept, **peer.variables()}) as running:
        with httpx2.Client(base_url=base, timeout=5, trust_env=False) as http:
            while not _is_ready(http, peer.ready):
                if not running.alive() or time.perf_counter() - start > START_SECONDS:
                    raise SystemExit(f"{peer.name} did not start:\n{running.tail()}")
                time.sleep(0.02)
        yield Server(base, running, time.perf_counter() - start)


@contextmanager
def directory() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="hokusai-bench-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def prepare(peers: list[Peer]) -> None:
    for peer in peers:
        print(f"  environment of {peer.name} …", file=sys.stderr, flush=True)
        peer.prepare()


def program(made: Environment | None, name: str) -> str:
    if made is None:
        raise RuntimeError("the peer was not prepared")
    return made.program(name)


def _is_ready(http: httpx2.Client, path: str) -> bool:
    try:
        return http.get(path).status_code == 200
    except httpx2.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
