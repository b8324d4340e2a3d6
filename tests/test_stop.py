"""A server that is told to stop has ended in time, whatever its clients and its own threads do."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from bench.fairness.flood import STRANGERS, Flood, open_files, port_of
from hokusai.server.draining import GRACE_SECONDS
from tests.http.test_protocol import Line
from tests.serving import Server, Team, serving

pytestmark = pytest.mark.process

FILES = "/api/2.0/mlflow-artifacts/artifacts"
DRAIN = 2
#: What the machine may add.
SLACK = 3


def stopped(server: Server, number: signal.Signals = signal.SIGTERM) -> float:
    """Seconds until it has ended, with exit code 0."""
    start = time.monotonic()
    assert server.stop(number, seconds=DRAIN + GRACE_SECONDS + 30) == 0, "".join(server.errors[-30:])
    took = time.monotonic() - start
    assert not [line for line in server.errors if "Traceback" in line], "".join(server.errors[-60:])
    return took


def busy(server: Server, team: Team, stack: ExitStack) -> None:
    """An upload that drips without end, and a download that nobody reads."""
    with server.http(team.key) as client:
        assert client.put(f"{FILES}/large", content=bytes(30 << 20)).is_success
    key = f"Host: x\r\nAuthorization: Bearer {team.key}\r\n"
    up, down = (stack.enter_context(Line(port_of(server.url))) for _ in range(2))
    up.send(f"PUT {FILES}/drip HTTP/1.1\r\n{key}Content-Length: 100000000\r\n\r\n".encode() + bytes(3 << 20))
    down.send(f"GET {FILES}/large HTTP/1.1\r\n{key}\r\n".encode())
    ended = threading.Event()

    def drip() -> None:
        with suppress(OSError):
            while not ended.wait(0.1):
                up.send(bytes(1000))

    thread = threading.Thread(target=drip)
    thread.start()
    stack.callback(thread.join)
    stack.callback(ended.set)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_flood_does_not_hold_up_a_stop(tmp_path: Path, workers: int) -> None:
    settings = {"HOKUSAI_DRAIN_SECONDS": str(DRAIN), "HOKUSAI_ADDRESS_RATE": "1000000/second"}
    with serving(tmp_path / "data", "--workers", str(workers), settings=settings) as server, ExitStack() as stack:
        team = server.workspace("team")
        stack.enter_context(open_files())
        busy(server, team, stack)
        port = port_of(server.url)
        stack.enter_context(Flood(port, 500))
        for data in STRANGERS.values():
            stack.enter_context(Flood(port, 10, data))
        assert stopped(server) < DRAIN + GRACE_SECONDS + SLACK


def test_without_requests_in_progress_a_stop_takes_no_time(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server, Flood(port_of(server.url), 300):
        assert stopped(server) < SLACK + 2


HANGS = """
import asyncio, os, threading, time
from hokusai.server.process_end import ProcessEnd
end = ProcessEnd()
end.within(0.5)
{kept}
threading.Thread(target=time.sleep, args=(600,), name="query_0").start()
"""


@pytest.mark.parametrize(("kept", "code"), [("end.all_is_kept()", 0), ("", 1)])
def test_a_thread_that_hangs_does_not_hold_up_the_end(tmp_path: Path, kept: str, code: int) -> None:
    start = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-c", HANGS.format(kept=kept)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == code, ran.stderr
    assert time.monotonic() - start < 20
    assert "query" in ran.stderr
