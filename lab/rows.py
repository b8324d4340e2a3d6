"""The rows of the lab: each builds a deployment with one fault and says how to run the doctor at it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from lab.parts import PROXY_ADDRESS, CannotBuild, free_port, wait_for
from scripts import environments
from tests.postgres import Postgres
from tests.serving import Server, Team, serving
from tests.serving import environment as clean


@dataclass
class Deployment:
    """A running deployment, and the doctor's arguments and variables for it, and the log that it is given."""

    url: str
    arguments: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    log: str | None = None


class Bench:
    """Servers that rows share, started when the first row needs them, and new directories."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._root = Path(self._stack.enter_context(TemporaryDirectory(prefix="hokusai-lab-")))
        self._count = 0
        self._base: tuple[Server, Team] | None = None
        self._hosts: tuple[Server, Server, Team] | None = None
        self._postgres: Postgres | None = None

    def close(self) -> None:
        self._stack.close()

    def directory(self) -> Path:
        self._count += 1
        found = self._root / str(self._count)
        found.mkdir()
        return found

    @property
    def base(self) -> tuple[Server, Team]:
        """A healthy server without a proxy, and a team with an admin key."""
        if self._base is None:
            settings = {"HOKUSAI_TRUSTED_PROXIES": f"{PROXY_ADDRESS}/32"}
            running = self._stack.enter_context(serving(self.directory() / "data", settings=settings))
            self._base = running, running.workspace("lab-team", permissions=["admin"])
        return self._base

    @property
    def hosts(self) -> tuple[Server, Server, Team]:
        """An auth host and a registry host, healthy, and a team."""
        if self._hosts is None:
            self._hosts = self._stack.enter_context(two_hosts(self.directory()))
        return self._hosts

    @property
    def postgres(self) -> Postgres:
        if self._postgres is None:
            self._postgres = Postgres()
            self._stack.callback(self._postgres.close)
        return self._postgres

    @contextmanager
    def mlflow(self, version: str, *options: str, **variables: str) -> Iterator[str]:
        """A stock MLflow server of that version, as its users start it; yields its URL.

        Versions before 3 keep their tables in files: the current SQLAlchemy is too new for them.
        """
        directory, port = self.directory(), free_port()
        found = stock(version)
        tables = "./mlruns" if version.startswith("2.") else "sqlite:///mlflow.db"
        command = [found.program("mlflow"), "server", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--workers", "1", "--backend-store-uri", tables, *options]
        variables = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **variables}
        settings = clean(**variables)
        settings["PATH"] = f"{found.path / 'bin'}:{settings['PATH']}"  # MLflow looks for gunicorn there
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=directory, env=settings, stdout=log, stderr=log, start_new_session=True
            )
        try:
            wait_for(port, process, seconds=90)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def stock(version: str) -> environments.Environment:
    """The environment with that MLflow version; created if it does not exist."""
    try:
        return environments.environment(f"mlflow-{version}")
    except environments.NoInterpreter as error:
        raise CannotBuild(str(error)) from None


@contextmanager
def two_hosts(directory: Path, **registry: str) -> Iterator[tuple[Server, Server, Team]]:
    with serving(directory / "auth", "--role", "auth") as auth:
        service = auth.key(None, permissions=["service"])
        settings = {
            "HOKUSAI_AUTH_URL": auth.url,
            "HOKUSAI_AUTH_PUBLIC_URL": auth.url,
            "HOKUSAI_AUTH_SERVICE_KEY": service.key,
            **registry,
        }
        with serving(directory / "registry", "--role", "registry", settings=settings) as found:
            yield auth, found, auth.workspace("apart", permissions=["admin"])


Build = Callable[[Bench], AbstractContextManager[Deployment]]


@dataclass(frozen=True)
class Row:
    """One planted fault; empty for a healthy deployment. ``fast`` rows run in the test suite as well.

    ``stand_in`` says what is simulated, if anything is.
    """

    fault: str
    title: str
    build: Build
    module: str
    fast: bool = False
    stand_in: str = ""

    @property
    def name(self) -> str:
        return f"{self.fault or 'healthy'}: {self.title}"


ROWS: list[Row] = []


def planted(
    fault: str, title: str, *, fast: bool = False, stand_in: str = ""
) -> Callable[[Callable[[Bench], Iterator[Deployment]]], Build]:
    """Adds a row that the function below builds."""

    def add(build: Callable[[Bench], Iterator[Deployment]]) -> Build:
        manager = contextmanager(build)
        ROWS.append(Row(fault, title, manager, build.__module__.rpartition(".")[2], fast, stand_in))
        return manager

    return add


def keys(server: Server, team: Team | None = None) -> dict[str, str]:
    """The variables that give the doctor the operator's key and the team's."""
    found = {"HOKUSAI_OPERATOR_KEY": server.operator_key}
    return found | ({"HOKUSAI_API_KEY": team.key} if team else {})
