"""A server in a separate process: killed during an upload, and its memory measured during large transfers."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pytest

from tests.artifacts.http.test_app import RUN, files
from tests.artifacts.http.test_upload import eventually, leftovers
from tests.artifacts.service import Service, create_tables

MEGABYTE = 1 << 20


@contextmanager
def process(directory: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], Service]]:
    command = [sys.executable, "-m", "tests.artifacts.service", str(directory), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            service = Service(int(running.stdout.readline()))
            eventually(lambda: _answers(service))
            yield running, service
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(30)


def _answers(service: Service) -> bool:
    try:
        return service.list().status == 200
    except OSError:
        return False


def resident(pid: int, field: str) -> int:
    """``VmRSS`` or its peak ``VmHWM``, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def test_a_killed_server_leaves_no_half_file(tmp_path: Path) -> None:
    create_tables(f"sqlite:///{tmp_path / 'hokusai.db'}")
    store = tmp_path / "store"
    for round_, wanted in enumerate((1, 5 * MEGABYTE)):
        with process(tmp_path) as (running, service):
            eventually(lambda: leftovers(store) == [])
            service.put(f"{RUN}/file", b"old" + bytes([round_]))
            with service.connected() as connection:
                connection.sendall(service.head("PUT", f"{RUN}/file", **{"content-length": str(50 * MEGABYTE)}))
                connection.sendall(os.urandom(wanted + 3 * MEGABYTE))
                eventually(lambda wanted=wanted: sum(path.stat().st_size for path in leftovers(store)) >= wanted)
                running.kill()
                running.wait()
        assert leftovers(store)
        with process(tmp_path) as (_, service):
            eventually(lambda: leftovers(store) == [])
            assert service.get(f"{RUN}/file").body == b"old" + bytes([round_])
            assert service.get(f"{RUN}/file").headers["repr-digest"]
            assert files(service.list(RUN)) == {"file": 4}


@pytest.fixture(params=["disk", pytest.param("bucket", marks=pytest.mark.long)])
def store(request: pytest.FixtureRequest) -> list[str]:
    """The options that say where a server keeps its files."""
    return ["--store", request.getfixturevalue("s3_url")] if request.param == "bucket" else []


def test_a_hundred_uploads_and_a_server_killed_among_them(tmp_path: Path, store: list[str]) -> None:
    """What was answered is there; what is there is whole, and is what its digest says; nothing else remains."""
    create_tables(f"sqlite:///{tmp_path / 'hokusai.db'}")
    chance = random.Random(4)
    sent: dict[str, set[bytes]] = {f"{number}.bin": set() for number in range(20)}  # every version ever begun
    kept: dict[str, bytes] = {}  # the last that was answered, where nothing was begun after it
    for _ in range(10):
        sizes = (7, 200_000, (12 if store else 3) * MEGABYTE)  # in a bucket, in parts
        batch = [(name, chance.randbytes(chance.choice(sizes))) for name in list(sent)[:10]]
        sent = dict([*list(sent.items())[10:], *list(sent.items())[:10]])
        with process(tmp_path, *store) as (running, service):
            _whole(service, sent, kept)
            eventually(lambda: bool(store) or leftovers(tmp_path / "store") == [])
            for name, body in batch:
                sent[name].add(hashlib.sha256(body).digest())
                kept.pop(name, None)
            with ThreadPoolExecutor(4) as senders:
                answers = {name: senders.submit(_put, service, name, body) for name, body in batch}
                list(islice(as_completed(answers.values(), 60), chance.randrange(len(batch))))
                time.sleep(chance.uniform(0, 0.05))
                running.kill()
                running.wait()
            for name, body in batch:
                if answers[name].result():
                    kept[name] = hashlib.sha256(body).digest()
    with process(tmp_path, *store) as (_, service):
        _whole(service, sent, kept)
    assert kept, "the server was always killed before it had answered"
    assert sum(map(len, sent.values())) > len(kept), "it was never killed in mid-upload"


def _put(service: Service, name: str, body: bytes) -> bool:
    try:
        return service.put(f"{RUN}/{name}", body).status == 200
    except (OSError, http.client.HTTPException):
        return False


def _whole(service: Service, sent: Mapping[str, set[bytes]], kept: Mapping[str, bytes]) -> None:
    listed = files(service.list(RUN))
    assert kept.keys() <= listed.keys()
    for name, size in listed.items():
        answer = service.get(f"{RUN}/{name}")
        found = hashlib.sha256(answer.body).digest()
        assert len(answer.body) == size
        assert found in sent[name]
        assert answer.headers["etag"] == f'"{found.hex()}"'
        assert found == kept.get(name, found)


def test_memory_is_flat_in_the_size_of_a_file(tmp_path: Path) -> None:
    create_tables(f"sqlite:///{tmp_path / 'hokusai.db'}")
    block, count = os.urandom(MEGABYTE), 300
    with process(tmp_path) as (running, service):
        service.put(f"{RUN}/warm", block * 8)
        service.get(f"{RUN}/warm")
        before = resident(running.pid, "VmRSS")
        assert service.put(f"{RUN}/large", (block for _ in range(count))).status == 200
        with service.connected() as connection:
            connection.sendall(service.head("GET", f"{RUN}/large", connection="close"))
            received = 0
            while piece := connection.recv(MEGABYTE):
                received += len(piece)
        assert received > count * MEGABYTE
        assert resident(running.pid, "VmHWM") - before < 32 * MEGABYTE


def test_memory_is_flat_in_the_length_of_a_listing(tmp_path: Path) -> None:
    create_tables(f"sqlite:///{tmp_path / 'hokusai.db'}")
    count = 100_000
    with process(tmp_path) as (running, service):
        service.put(f"{RUN}/many/first", b"1")
        assert len(files(service.list(f"{RUN}/many"))) == 1
        directory = next((tmp_path / "store").rglob("first")).parent
        for number in range(count - 1):
            os.close(os.open(directory / f"{number:06}.bin", os.O_CREAT | os.O_WRONLY))
        before = resident(running.pid, "VmRSS")
        assert len(files(service.list(f"{RUN}/many"))) == count
        assert resident(running.pid, "VmHWM") - before < 16 * MEGABYTE
        with service.connected() as connection:
            reader = http.client.HTTPResponse(connection)
            connection.sendall(
                service.head("GET", "", connection="close").replace(b" HTTP", f"?path={RUN}/many HTTP".encode(), 1)
            )
            reader.begin()
            begun = reader.read(1000)
            assert service.call("DELETE", f"/{RUN}/many/").status == 200
            assert files(service.list(f"{RUN}/many")) == {}
            left = json.loads(begun + reader.read())["files"]
        assert 0 < len(left) < count, "whoever lists meanwhile gets a whole answer, of what was still there"
