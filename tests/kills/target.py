"""The server that is killed: its layouts, its processes, and its next life on the same port and data."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests import forked, mlflow_tables, postgres, s3
from tests.kills.clients import Connection
from tests.kills.tables import Bucket, Disk, Tables
from tests.serving import descendants, environment, run_hokusai
from tests.test_killed import free_port, held, listening, lives

LAUNCHER = Path(__file__).with_name("launcher.py")
Kind = Literal["server", "aimed", "worker", "supervisor", "mlflow", "fork server", "postgres"]
_READY_SECONDS = 60


@dataclass(frozen=True)
class Layout:
    """Where it keeps what it has, and what of it can be killed, with how often."""

    name: str
    kinds: dict[Kind, int]
    workers: int = 1
    on_postgres: bool = False
    on_bucket: bool = False


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("sqlite", {"server": 4, "aimed": 8, "mlflow": 1, "fork server": 1}),
        Layout("workers", {"worker": 4, "supervisor": 4, "mlflow": 1, "fork server": 1}, workers=2),
        Layout("postgres", {"server": 3, "aimed": 6, "postgres": 3, "mlflow": 1}, on_postgres=True),
        Layout("s3", {"server": 3, "aimed": 8, "postgres": 2}, on_postgres=True, on_bucket=True),
    )
}


class Target:
    """A server and what it keeps. ``point`` is the step at which its present life ends when it is told to."""

    def __init__(
        self, layout: Layout, directory: Path, settings: dict[str, str], tables: Tables, store: Disk | Bucket
    ) -> None:
        self.layout = layout
        self.tables = tables
        self.store = store
        self.port = free_port()
        self.data = directory / "data"
        self._directory = directory
        self._settings = settings
        self._armed = directory / "armed"
        self._process: forked.Forked | None = None
        self.postgres: postgres.Postgres | None = None

    @property
    def operator_key(self) -> str:
        return (self.data / "operator.key").read_text().strip()

    @property
    def log(self) -> str:
        return (self._directory / "log").read_text(errors="replace")

    def start(self, point: str | None = None) -> None:
        """Raises ``TimeoutError`` where it is not ready in time."""
        self._armed.unlink(missing_ok=True)
        settings = {**self._settings, "KILL_WHEN": str(self._armed)} | ({"KILLS_POINT": point} if point else {})
        arguments = ["serve", "--data", str(self.data), "--port", str(self.port)]
        arguments += ["--workers", str(self.layout.workers)]
        with (self._directory / "log").open("ab") as log, Path(os.devnull).open("wb") as nothing:
            self._process = forked.Forked(
                [sys.executable, str(LAUNCHER), *arguments], env=environment(**settings), stdout=nothing, stderr=log
            )
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        end = time.monotonic() + _READY_SECONDS
        while not self._is_ready():
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > end:
                raise TimeoutError(f"the server is not ready\n{self.log[-3000:]}")
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        connection = Connection(self.port, "")
        with suppress(OSError, ValueError):
            try:
                return connection.ask("GET", "/ready")[0] == 200
            finally:
                connection.close()
        return False

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(40)

    def fsck(self, *options: str) -> list[dict[str, Any]]:
        """What ``hokusai fsck`` finds."""
        ran = run_hokusai("fsck", "--data", str(self.data), "--json", *options, **self._settings)
        assert ran.returncode in {0, 1}, ran.stderr
        found: list[dict[str, Any]] = json.loads(ran.stdout)["findings"]
        return found

    def processes(self) -> set[int]:
        """All of this server, MLflow's as well. A forked program is a child of the tests' fork server."""
        return set(descendants(_parent(self._pid)))

    def kill(self, kind: Kind, seconds: float) -> str:
        """Returns what went otherwise than it should. An aimed kill has ``seconds`` to come to its step."""
        left = self.processes()
        match kind:
            case "aimed":
                self._armed.touch()
                with suppress(subprocess.TimeoutExpired):
                    self._wait(seconds)
                    return self._ended(left)
                self._armed.unlink()
                os.kill(self._pid, signal.SIGKILL)
                self._wait(30)
                return "never came to it; " + self._ended(left)
            case "server" | "supervisor":
                os.kill(self._pid, signal.SIGKILL)
                self._wait(30)
                return self._ended(left)
            case "postgres":
                assert self.postgres is not None
                self.postgres.crash()
                self.postgres.start()
                return ""
        victims = {"worker": self._workers, "fork server": self._fork_servers, "mlflow": self._mlflow}[kind]()
        for pid in victims[:1]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return "" if victims else "there was none"

    def _wait(self, seconds: float) -> None:
        assert self._process is not None
        self._process.wait(seconds)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _ended(self, left: set[int]) -> str:
        """What of a killed server is still there seconds later."""
        self._process = None
        end = time.monotonic() + 5
        while still := {pid for pid in left if lives(pid)}:
            if time.monotonic() > end:
                return f"LEFT BEHIND: processes {sorted(still)}"
            time.sleep(0.01)
        with suppress(StopIteration):
            return f"LEFT BEHIND: {listening(self.port)}"
        return ""

    @property
    def _pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def _others(self) -> list[int]:
        """Programs beside the first one: workers and MLflow's fork servers."""
        root = _parent(self._pid)
        return [pid for pid in descendants(root) if _parent(pid) == root and pid != self._pid]

    def _workers(self) -> list[int]:
        port = listening(self.port)
        return [pid for pid in self._others() if port in held(pid)]

    def _fork_servers(self) -> list[int]:
        port = listening(self.port)
        return [pid for pid in self._others() if port not in held(pid)]

    def _mlflow(self) -> list[int]:
        return [pid for one in self._fork_servers() for pid in descendants(one)]


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


@contextmanager
def target(layout: Layout, directory: Path) -> Iterator[Target]:
    """A server that has been started once."""
    with ExitStack() as stack:
        data, settings = directory / "data", {"HOKUSAI_KEY_RATE": "1000000000/hour", "HOKUSAI_LOG_LEVEL": "warning"}
        settings |= {"HOKUSAI_ADDRESS_RATE": "1000000000/hour", "HOKUSAI_WORKSPACE_RATE": "1000000000/hour"}
        store: Disk | Bucket = Disk(data / "artifacts")
        server = None
        urls = (f"sqlite:///{data / 'hokusai.db'}", f"sqlite:///{data / 'mlflow.db'}")
        if layout.on_postgres:
            server = stack.enter_context(postgres.running(synchronous_commit="on"))
            urls = (server.create_database(),) * 2
            settings |= {"HOKUSAI_DATABASE_URL": urls[0]}
        else:
            mlflow_tables.copy_into(data)
        if layout.on_bucket:
            bucket = s3.S3Server()
            stack.callback(bucket.close)
            name = bucket.bucket()
            store = Bucket(bucket.client, name)
            settings |= {**bucket.environ(), "HOKUSAI_ARTIFACTS_URL": f"s3://{name}"}
        tables = Tables.of(*urls)
        stack.callback(tables.close)
        found = Target(layout, directory, settings, tables, store)
        found.postgres = server
        stack.callback(found.stop)
        found.start()
        yield found


def eventually(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
