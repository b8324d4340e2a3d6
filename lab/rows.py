"""What is planted: each row builds a deployment with one fault and says how to look at it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from lab.parts import PROXY_ADDRESS, NotHere, free_port, wait_for
from scripts import environments
from tests.postgres import Postgres
from tests.serving import Server, Team, serving
from tests.serving import environment as clean


@dataclass
class Seen:
    """How the doctor looks at a deployment: its arguments, its variables, and the log it is given."""

    url: str
    arguments: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    log: str | None = None


class Bench:
    """Servers that rows share, started when first asked for, and places to put things."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._place = Path(self._stack.enter_context(TemporaryDirectory(prefix="hokusai-lab-")))
        self._places = 0
        self._base: tuple[Server, Team] | None = None
        self._hosts: tuple[Server, Server, Team] | None = None
        self._postgres: Postgres | None = None

    def close(self) -> None:
        self._stack.close()

    def place(self) -> Path:
        self._places += 1
        found = self._place / str(self._places)
        found.mkdir()
        return found

    @property
    def base(self) -> tuple[Server, Team]:
        """A healthy server behind nobody, and a team with a key of the usual kind."""
        if self._base is None:
            settings = {"HOKUSAI_TRUSTED_PROXIES": f"{PROXY_ADDRESS}/32"}
            running = self._stack.enter_context(serving(self.place() / "data", settings=settings))
            self._base = running, running.workspace("lab-team", permissions=["admin"])
        return self._base

    @property
    def hosts(self) -> tuple[Server, Server, Team]:
        """An auth host and a registry host, healthy, and a team."""
        if self._hosts is None:
            self._hosts = self._stack.enter_context(two_hosts(self.place()))
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

        Before 3 it keeps its tables in files: SQLAlchemy of today is too new for it.
        """
        place, port = self.place(), free_port()
        found = stock(version)
        tables = "./mlruns" if version.startswith("2.") else "sqlite:///mlflow.db"
        command = [found.program("mlflow"), "server", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--workers", "1", "--backend-store-uri", tables, *options]
        variables = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **variables}
        settings = clean(**variables)
        settings["PATH"] = f"{found.path / 'bin'}:{settings['PATH']}"  # it looks for gunicorn there
        with (place / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=place, env=settings, stdout=log, stderr=log, start_new_session=True)
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
    """The environment of that MLflow version, made if need be."""
    try:
        return environments.environment(f"mlflow-{version}")
    except environments.NoInterpreter as error:
        raise NotHere(str(error)) from None


@contextmanager
def two_hosts(place: Path, **registry: str) -> Iterator[tuple[Server, Server, Team]]:
    with serving(place / "auth", "--role", "auth") as auth:
        service = auth.key(None, permissions=["service"])
        settings = {
            "HOKUSAI_AUTH_URL": auth.url,
            "HOKUSAI_AUTH_PUBLIC_URL": auth.url,
            "HOKUSAI_AUTH_SERVICE_KEY": service.key,
            **registry,
        }
        with serving(place / "registry", "--role", "registry", settings=settings) as found:
            yield auth, found, auth.workspace("apart", permissions=["admin"])


Build = Callable[[Bench], AbstractContextManager[Seen]]


@dataclass(frozen=True)
class Row:
    """One planted fault (empty: a healthy deployment). ``fast`` rows run in the test suite as well.

    ``instead`` says what stands for the real thing, where something does.
    """

    fault: str
    title: str
    build: Build
    module: str
    fast: bool = False
    instead: str = ""

    @property
    def name(self) -> str:
        return f"{self.fault or 'healthy'}: {self.title}"


ROWS: list[Row] = []


def planted(
    fault: str, title: str, *, fast: bool = False, instead: str = ""
) -> Callable[[Callable[[Bench], Iterator[Seen]]], Build]:
    """Puts a builder into the table."""

    def add(build: Callable[[Bench], Iterator[Seen]]) -> Build:
        manager = contextmanager(build)
        ROWS.append(Row(fault, title, manager, build.__module__.rpartition(".")[2], fast, instead))
        return manager

    return add


def keys(server: Server, team: Team | None = None) -> dict[str, str]:
    """The variables of an operator, with the team's key."""
    found = {"HOKUSAI_OPERATOR_KEY": server.operator_key}
    return found | ({"HOKUSAI_API_KEY": team.key} if team else {})
