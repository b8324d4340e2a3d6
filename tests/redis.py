"""A real Redis server for the tests, started by them on a free port of 127.0.0.1.

The program is the machine's own: Debian's package ``redis-server``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

#: Ends the server when the test process does, however it ends: its end of the pipe closes.
_KEEPER = '"$@" & server=$!; read -r _; kill -CONT $server; kill -TERM $server; wait $server'
_START_SECONDS = 30


class NoRedis(Exception):
    """There is none on this machine; the text says how to get it."""


class Redis:
    """One server that keeps nothing. ``stop`` and ``start`` make an outage. Raises ``NoRedis``."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="hokusai-redis-"))
        self._keeper: subprocess.Popen[bytes] | None = None
        self.port = 0
        try:
            self._binary = _binary()
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """On the same port as before, so that clients find it again."""
        self.port = self.port or _free_port()
        options = {"bind": "127.0.0.1", "port": str(self.port), "save": "", "pidfile": str(self._directory / "pid")}
        self._keeper = subprocess.Popen(
            [
                "/bin/sh",
                "-c",
                _KEEPER,
                "sh",
                self._binary,
                *(part for name, value in options.items() for part in (f"--{name}", value)),
            ],
            cwd=self._directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal is for the tests
        )
        self._wait()

    def stop(self) -> None:
        if self._keeper is None:
            return
        keeper, self._keeper = self._keeper, None
        assert keeper.stdin is not None
        keeper.stdin.close()
        keeper.wait(20)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """The server stands still: it takes connections and never answers."""
        process = int((self._directory / "pid").read_text())
        os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(process, signal.SIGCONT)

    def close(self) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _wait(self) -> None:
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as probe:
                probe.sendall(b"PING\r\n")
                if probe.recv(16).startswith(b"+PONG"):
                    return
            time.sleep(0.02)
        raise RuntimeError("redis-server did not start")


def _binary() -> str:
    if program := shutil.which("redis-server"):
        return program
    raise NoRedis("no redis-server on PATH: on Debian and Ubuntu, apt-get install redis-server")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def redis() -> Iterator[Redis]:
    """A server that the test may stop and freeze."""
    try:
        server = Redis()
    except NoRedis as error:
        pytest.skip(str(error))
    try:
        yield server
    finally:
        server.close()
