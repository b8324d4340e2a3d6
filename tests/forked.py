"""Programs of this product as forks of one process that has imported it: see ``tests.fork_server``.

``Forked`` and ``run`` are ``subprocess.Popen`` and ``subprocess.run`` with what tests use of them. A test of how a
program starts uses those.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

#: Where the fork server of this test run listens: set once, for all its processes.
_ADDRESS = "HOKUSAI_TEST_FORK_SERVER"
_ROOT = Path(__file__).parent.parent
_START_SECONDS = 120


class Forked:
    """``argv`` in a forked process: a ``hokusai`` command, or a Python script and its arguments."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        stdout: IO[Any] | int | None = None,
        stderr: IO[Any] | int | None = None,
    ) -> None:
        self.args = list(argv)
        self.returncode: int | None = None
        self._answers = b""
        request = {"argv": self.args, "environ": dict(env), "cwd": str(cwd or Path.cwd())}
        with Path(os.devnull).open("r+b", buffering=0) as nothing:
            streams = [_descriptor(nothing if stream is None else stream) for stream in (None, stdout, stderr)]
            self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._server.connect(os.environ[_ADDRESS])
            socket.send_fds(self._server, [json.dumps(request).encode() + b"\n"], streams)
            self.pid: int = self._answer(_START_SECONDS)["pid"]

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises ``subprocess.TimeoutExpired``."""
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(self._answer(timeout)["status"])
            self._server.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _answer(self, timeout: float | None) -> dict[str, int]:
        end = None if timeout is None else time.monotonic() + timeout
        while b"\n" not in self._answers:
            left = None if end is None else max(0.0, end - time.monotonic())
            if not select.select([self._server], [], [], left)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            data = self._server.recv(4096)
            if not data:
                raise RuntimeError("the fork server has ended")
            self._answers += data
        line, _, self._answers = self._answers.partition(b"\n")
        found: dict[str, int] = json.loads(line)
        return found


def run(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path | None = None, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run it to its end; killed after ``timeout`` seconds, with ``subprocess.TimeoutExpired``."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = Forked(argv, env=env, cwd=cwd, stdout=out, stderr=err)
        try:
            code = process.wait(timeout)
        except BaseException:
            process.kill()
            raise
        return subprocess.CompletedProcess(process.args, code, _text(out), _text(err))


@contextlib.contextmanager
def fork_server() -> Iterator[None]:
    """One fork server for this process and those it starts, from the first request to the end of the block."""
    with tempfile.TemporaryDirectory(prefix="hokusai-forks-") as place, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{place}/socket")
        listener.listen(64)
        with _started_when_asked(listener):
            os.environ[_ADDRESS] = f"{place}/socket"
            try:
                yield
            finally:
                del os.environ[_ADDRESS]


def available() -> bool:
    return _ADDRESS in os.environ


def directory() -> Path:
    """For what the processes of this test run share; gone when it ends."""
    return Path(os.environ[_ADDRESS]).parent


@contextlib.contextmanager
def _started_when_asked(listener: socket.socket) -> Iterator[None]:
    started: list[subprocess.Popen[bytes]] = []
    stopped, stop = socket.socketpair()

    def wait() -> None:
        if listener in select.select([listener, stopped], [], [])[0]:
            started.append(_start(listener))

    waiting = threading.Thread(target=wait, name="fork server", daemon=True)
    waiting.start()
    try:
        yield
    finally:
        stop.close()
        waiting.join()
        stopped.close()
        for process in started:
            process.communicate()  # its standard input ends, and so does it


def _start(listener: socket.socket) -> subprocess.Popen[bytes]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOKUSAI_", "MLFLOW_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.fork_server", str(listener.fileno())],
        cwd=_ROOT,
        env={**kept, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        pass_fds=[listener.fileno()],
        start_new_session=True,  # Ctrl-C in the terminal is for the tests
    )


def _descriptor(stream: IO[Any] | int) -> int:
    return stream if isinstance(stream, int) else stream.fileno()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")
