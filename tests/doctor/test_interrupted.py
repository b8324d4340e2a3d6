"""Ctrl-C during a write: the server has the whole request already, and carries it out later."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from hokusai.doctor import CHECKS, Target, chosen, examine
from hokusai.doctor.probe import SETTLE_SECONDS
from lab.parts import UpstreamAnswer, tampering_proxy
from tests.serving import Server, environment, hears_ctrl_c, hokusai

#: Longer than the doctor takes to remove what it does not wait for; it waits for what comes sooner than this.
_HELD_SECONDS = 1.0


class Slow:
    """Delays the first request of that kind until something is removed, or for ``seconds``."""

    def __init__(self, method: str, ending: str, seconds: float = _HELD_SECONDS) -> None:
        self._method, self._ending, self._seconds = method, ending, seconds
        self.taken, self._removed, self.landed = threading.Event(), threading.Event(), threading.Event()

    def _is(self, method: str, path: str) -> bool:
        return method == self._method and path.endswith(self._ending)

    def before(self, method: str, path: str) -> None:
        if self._is(method, path) and not self.taken.is_set():
            self.taken.set()
            self._removed.wait(self._seconds)

    def change(self, method: str, path: str, answer: UpstreamAnswer) -> UpstreamAnswer:
        if method == "DELETE" or path.endswith("/delete"):
            self._removed.set()
        if self._is(method, path):
            self.landed.set()
        return answer

    def release(self) -> None:
        self._removed.set()

    @contextmanager
    def before_the(self, target: Target) -> Iterator[Target]:
        with tampering_proxy(target.url, self.change, before=self.before) as url:
            yield replace(target, url=url)


@pytest.fixture(scope="module")
def key(server: Server) -> str:
    return server.workspace("cut-short", permissions=["admin"]).key


def left(server: Server, key: str) -> dict[str, list[str]]:
    """What the doctor has left in the workspace of that key, and of workspaces and keys."""
    with server.http(key) as http:
        models = http.get("/api/2.0/mlflow/registered-models/search").json().get("registered_models", [])
        experiments = http.get("/api/2.0/mlflow/experiments/search", params={"max_results": 10}).json()
        files = http.get("/api/2.0/mlflow-artifacts/artifacts").json()["files"]
    with server.http() as http:
        keys = http.get("/api/v1/keys", params={"limit": 1000}).json()["keys"]
        workspaces = http.get("/api/v1/workspaces", params={"limit": 1000}).json()["workspaces"]
    assert max(len(keys), len(workspaces)) < 1000
    return {
        "models": [one["name"] for one in models],
        "experiments": [one["name"] for one in experiments.get("experiments", [])],
        "files": [one["path"] for one in files],
        "keys": [one["key_id"] for one in keys if one["name"].startswith("hokusai-") and not one["revoked_at"]],
        "workspaces": [
            one["name"] for one in workspaces if one["name"].startswith("hokusai-") and not one["deleted_at"]
        ],
    }


@pytest.mark.parametrize(
    ("check", "method", "ending"),
    [
        ("tracking", "POST", "/experiments/create"),
        ("tracking", "POST", "/runs/create"),
        ("artifact-small", "PUT", "%.txt"),
        ("artifact-large", "PUT", "/large.bin"),
        ("register", "POST", "/registered-models/create"),
        ("rate", "POST", "/api/v1/keys"),
        ("isolation", "POST", "/api/v1/workspaces"),
        ("isolation", "POST", "/registered-models/create"),
        ("isolation", "PUT", "/canary.txt"),
        pytest.param("stock-client", "PUT", "/MLmodel", marks=pytest.mark.long),
    ],
)
async def test_a_write_under_way_is_removed_as_well(
    check: str, method: str, ending: str, server: Server, key: str
) -> None:
    sound = Target(url=server.url, key=key, operator_key=server.operator_key)
    slow, before = Slow(method, ending), left(server, key)
    with slow.before_the(sound) as target:
        examination = asyncio.create_task(examine(target, chosen(CHECKS, [check])))
        assert await asyncio.to_thread(slow.taken.wait, 30)
        examination.cancel()
        await asyncio.gather(examination, return_exceptions=True)
        assert examination.cancelled()
        assert await asyncio.to_thread(slow.landed.wait, 10)
    assert left(server, key) == before


def test_pressed_again_it_ends_at_once(server: Server, key: str) -> None:
    slow = Slow("POST", "/experiments/create", seconds=60)
    with slow.before_the(Target(url=server.url)) as target:
        process = subprocess.Popen(
            hokusai("doctor", target.url, "--only", "tracking"),
            env=environment(HOKUSAI_API_KEY=key),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=hears_ctrl_c,  # noqa: PLW1509 - nothing else runs here
        )
        assert slow.taken.wait(30)
        pressed = time.monotonic()
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.5)
        said, _ = process.communicate()
        assert time.monotonic() - pressed < SETTLE_SECONDS
        slow.release()
    assert process.returncode != 0
    assert b"Traceback" not in said
