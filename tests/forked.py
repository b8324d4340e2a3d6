"""Python programs as forks of a process that has imported what they import: see ``tests/fork_server.py``.

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

#: The process that a forked child of ``multiprocessing`` is a child of, for all that it can tell.
PARENT = "FORKED_PARENT"
#: Where the fork server with the product in it listens: one for all processes of a test run.
_ADDRESS = "HOKUSAI_TEST_FORK_SERVER"
_PROGRAM = Path(__file__).with_name("fork_server.py")
_START_SECONDS = 120
_LAUNCHER = """#!{python} -SE
import sys
sys.path.insert(0, {root!r})
from tests import forked
forked.launch({address!r})
"""

_COMMAND = """#!/bin/sh
exec {python} {command} "$@"
"""

Stream = IO[Any] | int | None


class Forked:
    """``argv`` in a forked process of ``server``; without one, of the product's.

    It begins with a Python script, or with an interpreter and a script or ``-c``. Streams that are not given lead
    nowhere. It has the ``descriptors`` under the numbers that they have here.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        server: str | None = None,
        descriptors: Sequence[int] = (),
    ) -> None:
        self.args = list(argv)
        self.returncode: int | None = None
        self._answers = b""
        given = {name: value for name, value in env.items() if name != _ADDRESS}
        request = {"argv": self.args, "environ": given, "cwd": str(cwd or Path.cwd()), "numbers": [*descriptors]}
        with Path(os.devnull).open("r+b", buffering=0) as nothing, contextlib.ExitStack() as stack:
            streams = [_descriptor(nothing if stream is None else stream) for stream in (stdin, stdout, stderr)]
            self._server = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            self._server.connect(server or os.environ[_ADDRESS])
            socket.send_fds(self._server, [json.dumps(request).encode() + b"\n"], [*streams, *descriptors])
            self.pid: int = self._answer(_START_SECONDS)["pid"]
            stack.pop_all()

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
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    timeout: float = 120,
    server: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run it to its end; killed after ``timeout`` seconds, with ``subprocess.TimeoutExpired``."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = Forked(argv, env=env, cwd=cwd, stdout=out, stderr=err, server=server)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired as late:
            late.stdout, late.stderr = _bytes(out), _bytes(err)
            raise
        finally:
            process.kill()
            process.wait()
        return subprocess.CompletedProcess(process.args, code, _bytes(out).decode(), _bytes(err).decode())


def available() -> bool:
    """Whether this test run has a fork server with the product in it."""
    return _ADDRESS in os.environ


def directory() -> Path:
    """For what the processes of this test run share; gone when it ends."""
    return Path(os.environ[_ADDRESS]).parent


def path() -> str:
    """A ``PATH`` on which ``python`` and ``hokusai`` are forks as well, where this test run has a fork server."""
    places = [Path(python()).parent, Path(sys.executable).parent, os.environ["PATH"]]
    return os.pathsep.join(map(str, places))


def python() -> str:
    """An interpreter for others to start: what it runs is a fork as well."""
    return str(directory() / "python") if available() else sys.executable


@contextlib.contextmanager
def with_product() -> Iterator[None]:
    """A fork server with the product in it, for this process and those it starts."""
    with fork_server(sys.executable, "tests.product") as address:
        launcher = Path(address).with_name("python")
        launcher.write_text(_LAUNCHER.format(python=sys.executable, root=str(_PROGRAM.parent.parent), address=address))
        command = launcher.with_name("hokusai")
        command.write_text(_COMMAND.format(python=launcher, command=Path(sys.executable).with_name("hokusai")))
        for program in (launcher, command):
            program.chmod(0o755)
        os.environ[_ADDRESS] = address
        try:
            yield
        finally:
            del os.environ[_ADDRESS]


@contextlib.contextmanager
def fork_server(interpreter: str, *modules: str) -> Iterator[str]:
    """The address of a fork server that has imported the modules. It starts at the first request."""
    with tempfile.TemporaryDirectory(prefix="hokusai-forks-") as place, socket.socket(socket.AF_UNIX) as listener:
        address = f"{place}/socket"
        listener.bind(address)
        listener.listen(64)
        command = [interpreter, "-I", str(_PROGRAM), str(listener.fileno()), *modules]
        with _started_when_asked(listener, command):
            yield address


def launch(address: str) -> None:
    """The launcher's main function: be that process, for whoever started this one."""
    given, descriptors, environ = sys.argv[1:], [], dict(os.environ)
    if any(one.startswith("from multiprocessing.") for one in given):  # it uses descriptors of its parent's
        given, descriptors = given[given.index("-c") :], _open_descriptors()
        environ[PARENT] = str(os.getppid())
    process = Forked(
        ["python", *given], env=environ, stdin=0, stdout=1, stderr=2, server=address, descriptors=descriptors
    )
    for number in descriptors:
        os.close(number)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda given, _: process.send_signal(given))
    code = process.wait()
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


@contextlib.contextmanager
def _started_when_asked(listener: socket.socket, command: Sequence[str]) -> Iterator[None]:
    started: list[subprocess.Popen[bytes]] = []
    stopped, stop = socket.socketpair()

    def wait() -> None:
        if listener in select.select([listener, stopped], [], [])[0]:
            started.append(_start(listener, command))

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


def _start(listener: socket.socket, command: Sequence[str]) -> subprocess.Popen[bytes]:
    launcher = str(Path(listener.getsockname()).with_name("python"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOKUSAI_", "MLFLOW_"))}
    return subprocess.Popen(
        command,
        # One thread: OpenBLAS, which comes with NumPy, would start some on import.
        env={**kept, "MLFLOW_DISABLE_TELEMETRY": "true", "OPENBLAS_NUM_THREADS": "1", "FORKED_PYTHON": launcher},
        stdin=subprocess.PIPE,
        pass_fds=[listener.fileno()],
        start_new_session=True,  # Ctrl-C in the terminal is for the tests
    )


def _open_descriptors() -> list[int]:
    """Those of this process, except the standard streams."""
    found = sorted(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    return [number for number in found if number > 2 and Path(f"/proc/self/fd/{number}").exists()]


def _descriptor(stream: IO[Any] | int) -> int:
    return stream if isinstance(stream, int) else stream.fileno()


def _bytes(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()
