"""Pulling and registering continue after a broken connection: real sockets, through a proxy that cuts them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hokusai import Client
from tests.serving import Server, environment, hears_ctrl_c, hokusai

SIZE = 12 << 20


class Cutting:
    """A TCP proxy. It ends the n-th large answer, or body, when ``cuts[n]`` bytes of it are through.

    With ``hold`` it does not end it there, but passes nothing more, and ``reached`` is set.
    """

    def __init__(self, upstream: str, cuts: list[int], *, up: bool = False, hold: bool = False) -> None:
        parts = urlsplit(upstream)
        self._upstream = (str(parts.hostname), int(parts.port or 80))
        self.cuts = cuts
        self.passed: list[int] = []
        self.reached = threading.Event()
        self._over = threading.Event()
        self._hold = hold
        self._up = up
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._over.set()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._upstream)
            watched, other = (client, server) if self._up else (server, client)
            threading.Thread(target=_pump, args=(other, watched), daemon=True).start()
            threading.Thread(target=self._watch, args=(watched, other), daemon=True).start()

    def _watch(self, source: socket.socket, target: socket.socket) -> None:
        """In the direction that is cut; a connection with more than 1 MiB has a large answer, or body, on it."""
        total = 0
        with source, target:
            while data := _received(source):
                total += len(data)
                self.passed.append(len(data))
                if total > 1 << 20 and self.cuts and total >= self.cuts[0]:
                    self.cuts.pop(0)
                    self.reached.set()
                    if self._hold:
                        self._over.wait(60)
                    break
                try:
                    target.sendall(data)
                except OSError:
                    break
            for end in (source, target):  # closing alone says nothing while another thread reads from it
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := _received(source):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def _received(source: socket.socket) -> bytes:
    try:
        return source.recv(65536)
    except OSError:
        return b""


@contextmanager
def cutting(server: Server, *cuts: int, up: bool = False, hold: bool = False) -> Iterator[Cutting]:
    proxy = Cutting(server.url, list(cuts), up=up, hold=hold)
    try:
        yield proxy
    finally:
        proxy.close()


@pytest.fixture(scope="module")
def content() -> bytes:
    return os.urandom(SIZE)


@pytest.fixture(scope="module")
def key(server: Server, tmp_path_factory: pytest.TempPathFactory, content: bytes) -> str:
    team = server.workspace("resume")
    model = tmp_path_factory.mktemp("resume") / "model"
    model.mkdir()
    (model / "MLmodel").write_text("flavors: {}\n")
    (model / "weights.bin").write_bytes(content)
    with Client(server.url, team.key) as client:
        client.register(model, "large")
    return team.key


def test_a_pull_that_is_cut_at_30_and_90_percent_moves_every_byte_once(
    server: Server, key: str, content: bytes, tmp_path: Path
) -> None:
    seen: list[int] = []
    with cutting(server, SIZE * 3 // 10, SIZE * 6 // 10) as proxy, Client(proxy.url, key) as client:
        client.pull("models:/large/1", tmp_path / "out", progress=lambda progress: seen.append(progress.done))
        assert not proxy.cuts
        assert sum(proxy.passed) < SIZE + (1 << 20), "nothing comes twice but what was on its way"
    assert (tmp_path / "out" / "weights.bin").read_bytes() == content
    assert seen == sorted(seen)


def test_a_pull_that_is_cut_again_and_again_goes_on_as_long_as_it_comes_further(
    server: Server, key: str, content: bytes, tmp_path: Path
) -> None:
    with cutting(server, *[1_500_000] * 6) as proxy, Client(proxy.url, key) as client:
        client.pull("models:/large/1", tmp_path / "out")
        assert not proxy.cuts
    assert (tmp_path / "out" / "weights.bin").read_bytes() == content


def test_a_file_that_changed_meanwhile_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    """The rest of another version is not put behind the first half."""
    team = server.workspace("resume-changed")
    one, two = os.urandom(SIZE), os.urandom(SIZE)
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights.bin").write_bytes(one)
    with Client(server.url, team.key) as client:
        client.register(model, "changing")
    with cutting(server, SIZE // 2) as proxy, Client(proxy.url, team.key) as client, server.http(team.key) as http:
        place = http.get("/api/2.0/mlflow/model-versions/get-download-uri?name=changing&version=1").json()
        target = place["artifact_uri"].removeprefix("mlflow-artifacts:/") + "/weights.bin"
        swapped = False

        def swap(_: object) -> None:
            nonlocal swapped
            if not proxy.cuts and not swapped:
                swapped = True
                assert http.put(f"/api/2.0/mlflow-artifacts/artifacts/{target}", content=two).is_success

        client.pull("models:/changing/1", tmp_path / "out", progress=swap)
    found = (tmp_path / "out" / "weights.bin").read_bytes()
    assert found in (one, two)


@pytest.mark.parametrize(
    "cuts", [[SIZE * 3 // 10, SIZE * 6 // 10], [SIZE * 9 // 10], [2 << 20] * 5], ids=["30 and 90 %", "90 %", "five"]
)
def test_a_registration_that_is_cut_goes_on(server: Server, cuts: list[int], tmp_path: Path) -> None:
    team = server.workspace(f"resume-up-{len(cuts)}")
    model = tmp_path / "model"
    model.mkdir()
    (model / "MLmodel").write_text("flavors: {}\n")
    (model / "weights.bin").write_bytes(content := os.urandom(SIZE))
    count = len(cuts)
    with cutting(server, *cuts, up=True) as proxy, Client(proxy.url, team.key) as client:
        client.register(model, "large")
        assert not proxy.cuts
        assert sum(proxy.passed) < SIZE + count * (3 << 20), "nothing is sent twice but what was on its way"
    with Client(server.url, team.key) as client:
        client.pull("models:/large/1", tmp_path / "out")
    assert (tmp_path / "out" / "weights.bin").read_bytes() == content


def interrupted(proxy: Cutting, key: str, *arguments: str) -> str:
    """Run a command until the proxy holds it, then Ctrl-C; what it said on standard error."""
    process = subprocess.Popen(
        hokusai(*arguments),
        env=environment(HOKUSAI_URL=proxy.url, HOKUSAI_API_KEY=key),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hears_ctrl_c,  # noqa: PLW1509
    )
    assert proxy.reached.wait(60)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    return err


def test_ctrl_c_during_a_pull_leaves_nothing(server: Server, key: str, tmp_path: Path) -> None:
    with cutting(server, SIZE // 2, hold=True) as proxy:
        err = interrupted(proxy, key, "pull", "models:/large/1", str(tmp_path / "out"))
    assert "Nothing was kept" in err
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_during_a_registration_registers_nothing(server: Server, tmp_path: Path, content: bytes) -> None:
    team = server.workspace("resume-interrupted")
    (tmp_path / "weights.bin").write_bytes(content)
    with cutting(server, SIZE // 2, up=True, hold=True) as proxy:
        err = interrupted(proxy, team.key, "register", str(tmp_path), "--name", "half")
    assert "only if every file had been sent" in err
    with Client(server.url, team.key) as client:
        assert list(client.models.versions("half")) == []
    with server.http(team.key) as http:
        named = {"experiment_name": "hokusai-register"}
        found = http.get("/api/2.0/mlflow/experiments/get-by-name", params=named).json()["experiment"]["experiment_id"]
        runs = http.post("/api/2.0/mlflow/runs/search", json={"experiment_ids": [found], "max_results": 10}).json()
        (info,) = [run["info"] for run in runs["runs"]]
        assert info["status"] == "KILLED"
        path = info["artifact_uri"].removeprefix("mlflow-artifacts:/")
        assert http.get("/api/2.0/mlflow-artifacts/artifacts", params={"path": f"{path}/model"}).json()["files"] == []
