"""A server that is killed leaves no process behind, and the next one starts at once on its port and data."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from tests.http.test_protocol import Line
from tests.serving import Process, Server, descendants, environment, hokusai, serving

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell what a process holds"),
]

#: An auth service has no MLflow, which takes most of the time of a start.
WORKERS = ("--role", "auth", "--workers", "2")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def processor_seconds(pid: int) -> float:
    try:
        user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    except OSError:
        return 0
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def running(pid: int, program: bytes) -> list[int]:
    found = []
    for one in descendants(pid):
        with suppress(OSError):
            if program in Path(f"/proc/{one}/cmdline").read_bytes():
                found.append(one)
    return found


def kill(process: Process, left: set[int]) -> None:
    """Adds the processes that it had started to ``left``."""
    left |= set(descendants(process.pid))
    os.kill(process.pid, signal.SIGKILL)
    process.wait(30)


def kill_while_it_starts(data: Path, port: int, when: Callable[[int, str], object], left: set[int]) -> None:
    """``when`` is asked again and again, with the process and its log."""
    log = data.with_suffix(".log")
    command = hokusai("serve", "--data", str(data), "--port", str(port), *WORKERS)
    with log.open("w") as stream, log.open("w") as nothing:
        process = subprocess.Popen(command, env=environment(), stdout=nothing, stderr=stream)
    wait_for(lambda: when(process.pid, log.read_text()) or process.poll() is not None)
    assert process.poll() is None, log.read_text()
    kill(process, left)


def before_a_worker(_pid: int, log: str) -> object:
    return "starts" in log


def first_moment_of_a_worker(pid: int, _log: str) -> object:
    return running(pid, b"spawn_main")


def middle_of_the_start(pid: int, _log: str) -> object:
    return any(processor_seconds(one) > 0.6 for one in running(pid, b"spawn_main"))


@contextmanager
def load(server: Server) -> Iterator[None]:
    """Requests as fast as they are answered, until the server does not answer."""

    def ask() -> None:
        with suppress(httpx2.HTTPError), server.http() as http:
            while True:
                http.post("/api/v1/workspaces", json={"name": "x"})

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join()


@contextmanager
def draining(server: Server) -> Iterator[None]:
    """The server was told to stop, and waits for a request."""
    with Line(int(server.url.rpartition(":")[2])) as line:
        head = f"POST /api/v1/workspaces HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.operator_key}\r\n"
        line.send(f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n".encode() + b"{")
        time.sleep(0.2)
        os.kill(server.process.pid, signal.SIGTERM)
        wait_for(lambda: any("draining" in one for one in server.errors))
        yield


def test_workers_end_with_their_supervisor_whenever_it_is_killed(tmp_path: Path) -> None:
    data, port, left = tmp_path / "data", free_port(), set[int]()

    def started() -> Server:
        """Until the end of everything, where ``serving`` waits for the last process that writes to its log."""
        return stack.enter_context(serving(data, "--port", str(port), *WORKERS, fork=False))

    with ExitStack() as stack:
        kill_while_it_starts(data, port, before_a_worker, left)
        kill(started().process, left)
        kill_while_it_starts(data, port, first_moment_of_a_worker, left)
        server = started()
        with load(server):
            time.sleep(0.2)
            kill(server.process, left)
        kill_while_it_starts(data, port, middle_of_the_start, left)
        server = started()
        with draining(server):
            kill(server.process, left)
        started()
        assert len(left) >= 6
        assert not [pid for pid in left if lives(pid)]


def held(pid: int) -> set[str]:
    """The open files and sockets of a process, as the kernel names them."""
    found = set()
    with suppress(OSError):
        for one in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found.add(str(one.readlink()))
    return found


def listening(port: int) -> str:
    """The kernel's name of the socket that listens on a port."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return next(f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A")


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.long)])
def test_only_what_serves_holds_the_port_and_the_data(tmp_path: Path, workers: int) -> None:
    data, port, left = tmp_path / "data", free_port(), set[int]()
    with serving(data, "--port", str(port), "--workers", str(workers), fork=False) as server:
        serves = {server.process.pid, *running(server.process.pid, b"spawn_main")}
        both = {listening(port), str(data / "lock")}
        others = set(descendants(server.process.pid)) - serves
        assert others
        assert not [pid for pid in others if held(pid) & both]
        assert all(both <= held(pid) for pid in serves)
        kill(server.process, left)
        with serving(data, "--port", str(port)):
            assert not [pid for pid in left if lives(pid)]
            assert not (data / "metrics").exists()


def test_mlflow_that_is_being_loaded_ends_with_the_server(tmp_path: Path) -> None:
    """It takes seconds, and migrates MLflow's tables, which nobody but the next server should do then."""
    with (tmp_path / "log").open("w") as log:
        command = hokusai("serve", "--data", str(tmp_path / "data"), "--port", "0")
        process = subprocess.Popen(command, env=environment(), stdout=log, stderr=log)
        loading: list[int] = []
        wait_for(lambda: loading.extend(running(process.pid, b"fork_server")) or loading)
        wait_for(lambda: processor_seconds(loading[0]) > 0.5)
        left = set[int]()
        kill(process, left)
        wait_for(lambda: not any(map(lives, left)), seconds=0.5)


_PARENT_ENDS_FIRST = """
import os, sys, time
from hokusai.parent_process import end_with_parent
parent = os.getpid()
if os.fork():
    os._exit(0)
while os.getppid() == parent:
    time.sleep(0.001)
end_with_parent(lambda: os.getppid() == parent)
print("goes on")
"""


def test_a_parent_that_ended_before_its_child_could_say_so() -> None:
    ran = subprocess.run([sys.executable, "-c", _PARENT_ENDS_FIRST], capture_output=True, timeout=30, check=True)
    assert (ran.stdout, ran.stderr) == (b"", b"")


def test_a_gateway_that_ended_before_its_fork_server_could_say_so(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.send(json.dumps({"app": "nothing:nothing", "database_url": "", "log_level": "INFO"}).encode())
        ours.close()
        command = [sys.executable, "-m", "hokusai.tracking.processes.fork_server"]
        ran = subprocess.run(command, stdin=theirs.fileno(), capture_output=True, timeout=30, check=False)
    assert (ran.returncode, ran.stderr) == (1, b"")


_FORGETFUL = """
import ctypes, multiprocessing, os, time
from hokusai.parent_process import child_main

def forget():
    ctypes.CDLL(None).prctl(1, 0)
    print(os.getpid(), flush=True)
    time.sleep(60)

if __name__ == "__main__":
    arguments = (os.getpid(), "forgetful:forget")
    multiprocessing.get_context("spawn").Process(target=child_main, args=arguments).start()
    time.sleep(60)
"""


def test_a_worker_notices_by_itself_where_the_kernel_does_nothing(tmp_path: Path) -> None:
    script = tmp_path / "forgetful.py"
    script.write_text(_FORGETFUL)
    with subprocess.Popen([sys.executable, str(script)], cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.kill()
    wait_for(lambda: not lives(child), seconds=10)
