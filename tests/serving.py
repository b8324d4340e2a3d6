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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

START_SECONDS = 120
_READY = re.compile(r"is ready: (https?://\S+)")


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
    process: subprocess.Popen[str]
    errors: list[str] = field(default_factory=list)
    output: list[str] = field(default_factory=list)

    @property
    def operator_key(self) -> str:
        return (self.data / "operator.key").read_text().strip()

    def http(self, key: str | None = None) -> httpx2.Client:
        """A client that sends ``key`` (None: the operator's, empty: none)."""
        key = self.operator_key if key is None else key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False)

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
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)

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


def hears_ctrl_c() -> None:
    """For ``preexec_fn``: what is started in the background ignores it otherwise."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def hokusai(*arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("hokusai")), *arguments]


def environment(**settings: str) -> dict[str, str]:
    """This process's environment without settings of its own, plus ``settings``."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("HOKUSAI_", "MLFLOW_", "_MLFLOW_"))
    }
    # One address sends all that is wrong here; what tests the throttle sets its own.
    return {**kept, "PYTHONUNBUFFERED": "1", "HOKUSAI_GUESS_RATE": "1000000/minute", **settings}


@contextmanager
def serving(data: Path, *arguments: str, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """``hokusai serve`` until the block ends; fails with its log when it does not get ready."""
    process = subprocess.Popen(
        hokusai("serve", "--data", str(data), "--port", "0", *arguments),
        env=environment(**(settings or {})),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    server = Server("", data, process)
    ready = threading.Event()
    readers = [
        threading.Thread(target=_read, args=(process.stderr, server.errors, server, ready)),
        threading.Thread(target=_read, args=(process.stdout, server.output, None, None)),
    ]
    for reader in readers:
        reader.start()
    try:
        end = time.monotonic() + START_SECONDS
        while not ready.wait(0.05) and process.poll() is None and time.monotonic() < end:
            pass
        if not server.url:
            raise AssertionError("the server did not get ready:\n" + "".join(server.errors[-40:]))
        yield server
    finally:
        if process.poll() is None:
            server.stop()
        for reader in readers:
            reader.join()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


def _read(stream: Any, lines: list[str], server: Server | None, ready: threading.Event | None) -> None:
    for line in stream:
        lines.append(line)
        if server and ready and (found := _READY.search(line)):
            server.url = found[1]
            ready.set()
