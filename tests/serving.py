"""A real server for tests: ``hokusai serve`` in a process of its own, on a free port."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tests import forked, mlflow_tables

if TYPE_CHECKING:
    import httpx2

START_SECONDS = 120
#: Settings with which a server does not make MLflow's tables in its data directory.
_OTHER_TABLES = {"HOKUSAI_DATABASE_URL", "HOKUSAI_TRACKING_URL", "HOKUSAI_TRACKING_DATABASE_URL"}
READY = re.compile(r"is ready: (https?://[^\s\"]+)")
#: A server that waits for something answers as well.
WAITS = re.compile(r"Waiting until it is over; (https?://[^\s\"]+)/ready")


class Process(Protocol):
    """What tests use of a running server's process."""

    pid: int

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, number: int, /) -> None: ...

    def kill(self) -> None: ...


@dataclass
class Team:
    """A workspace with one key."""

    name: str
    key: str
    key_id: str


@dataclass
class Server:
    """A running server; what it wrote is in ``errors`` (the log) and ``output`` (the audit lines)."""

    url: str
    data: Path
    process: Process
    errors: list[str]
    output: list[str]
    pipes: Sequence[_Pipe]

    @property
    def operator_key(self) -> str:
        return (self.data / "operator.key").read_text().strip()

    def http(self, key: str | None = None) -> httpx2.Client:
        """A client that sends ``key`` (None: the operator's, empty: none)."""
        import httpx2

        key = self.operator_key if key is None else key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False)

    def stranger(self, last: int) -> httpx2.Client:
        """A client without a key at ``127.0.0.last``: refusals of one address within a minute are merged."""
        import httpx2

        transport = httpx2.HTTPTransport(local_address=f"127.0.0.{last}")
        return httpx2.Client(base_url=self.url, transport=transport, timeout=30)

    def key(self, workspace: str | None, **facts: Any) -> Team:
        with self.http() as http:
            body = {"name": "test", "workspace": workspace, "permissions": ["write"], **facts}
            answer = http.post("/api/v1/keys", json=body)
            assert answer.status_code in {200, 201}, answer.text
            return Team(workspace or "", answer.json()["key"], answer.json()["key_id"])

    def workspace(self, name: str, **facts: Any) -> Team:
        """A new workspace with a ``write`` key, unless ``facts`` of the key say otherwise."""
        with self.http() as http:
            answer = http.post("/api/v1/workspaces", json={"name": name})
            assert answer.status_code in {200, 201}, answer.text
        return self.key(name, **facts)

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 40) -> int:
        """End it; returns its exit code. All that it wrote is in ``errors`` and ``output`` then."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(seconds)
        for pipe in self.pipes:
            pipe.finish()
        return code

    def audit(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output]

    def audited(self, request_id: str, seconds: float = 10) -> dict[str, Any]:
        """The audit line of a request, waiting until it is written."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for line in self.audit():
                if line["request_id"] == request_id:
                    return line
            time.sleep(0.05)
        raise AssertionError(f"no audit line for {request_id}")


def descendants(pid: int) -> list[int]:
    """The processes that one has started, and those that they have. Of a server that is no fork: MLflow's."""
    found: list[int] = []
    with suppress(OSError):  # one that has ended meanwhile
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *descendants(child)]
    return found


def hears_ctrl_c() -> None:
    """For ``preexec_fn``: what is started in the background ignores it otherwise."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def hokusai(*arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("hokusai")), *arguments]


def run_hokusai(*arguments: str, timeout: float = 120, **settings: str) -> subprocess.CompletedProcess[str]:
    """A command that was run to its end; in a fork, where this test run has a fork server."""
    command, environ = hokusai(*arguments), environment(**settings)
    if forked.available():
        return forked.run(command, env=environ, timeout=timeout)
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=timeout, check=False)


def environment(**settings: str) -> dict[str, str]:
    """This process's environment without settings of its own, plus ``settings``."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("HOKUSAI_", "MLFLOW_", "_MLFLOW_"))
    }
    # One address sends all that is wrong here; what tests the throttle sets its own.
    return {**kept, "PYTHONUNBUFFERED": "1", "HOKUSAI_GUESS_RATE": "1000000/minute", **settings}


@contextmanager
def serving(
    data: Path,
    *arguments: str,
    settings: Mapping[str, str] | None = None,
    fork: bool = True,
    until: re.Pattern[str] = READY,
) -> Iterator[Server]:
    """``hokusai serve`` until the block ends; fails with its log when it does not get ready (``until``).

    Where this test run has a fork server, it is a fork, which need not import anything. ``fork=False`` is for tests
    of how the program starts, and of what its processes look like from outside.
    """
    given = settings or {}
    command = hokusai("serve", "--data", str(data), "--port", "0", *arguments)
    start: Callable[..., Process] = subprocess.Popen
    if fork and forked.available():
        start = forked.Forked
        if not data.exists() and "auth" not in arguments and not _OTHER_TABLES & given.keys():
            mlflow_tables.copy_into(data)
    with _piped() as errors, _piped() as output:
        process = start(command, env=environment(**given), stdout=output.end, stderr=errors.end)
        server = Server("", data, process, errors.lines, output.lines, (errors, output))
        try:
            server.url = logged(server, until)
            yield server
        finally:
            try:
                server.stop()
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def logged(server: Server, sign: re.Pattern[str]) -> str:
    """The server's URL, as soon as its log has the ``sign``."""
    end = time.monotonic() + START_SECONDS
    while not (ready := sign.search("".join(server.errors))):
        if server.process.poll() is not None or time.monotonic() > end:
            server.stop()
            raise AssertionError("the server did not get ready:\n" + "".join(server.errors[-40:]))
        time.sleep(0.02)
    return ready[1]


class _Pipe:
    """A pipe whose ``end`` a program writes to; its ``lines`` are read as they come."""

    def __init__(self) -> None:
        read, self.end = os.pipe()
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, args=(read,))
        self._reader.start()

    def finish(self) -> None:
        """Wait for the last line, which comes when every process that writes to it has ended."""
        if self.end >= 0:
            os.close(self.end)
            self.end = -1
        self._reader.join()

    def _read(self, descriptor: int) -> None:
        with os.fdopen(descriptor) as stream:
            for line in stream:
                self.lines.append(line)


@contextmanager
def _piped() -> Iterator[_Pipe]:
    pipe = _Pipe()
    try:
        yield pipe
    finally:
        pipe.finish()
