"""Uploads that fail: nothing of them is kept, the file that was there stays, and the next upload works."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from hokusai.artifacts.ledger import artifacts
from tests.artifacts.http.test_app import RUN, code, files
from tests.artifacts.service import Service, create_tables, running
from tests.postgres import Postgres

LIMIT = 4_000_000
IDLE = 0.5


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Path]]:
    """A service with tight bounds, and where it keeps its files."""
    directory = tmp_path_factory.mktemp("strict")
    database = f"sqlite:///{directory / 'hokusai.db'}"
    create_tables(database)
    with running((directory / "store").as_uri(), database, max_upload_bytes=LIMIT, idle_seconds=IDLE) as found:
        yield found, directory / "store"


def eventually(holds: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def leftovers(store: Path) -> list[Path]:
    return [path for path in (store / ".hokusai").rglob("*") if path.is_file()]


def abandon(service: Service, head: bytes, body: bytes) -> list[str]:
    """Begin an upload, wait until it has begun, hang up, and wait for its end; returns the errors raised."""
    shim = service.shim
    assert shim is not None
    before = len(shim.codes)
    with service.connected() as connection:
        connection.sendall(head + body)
        eventually(lambda: shim.active > 0)
    eventually(lambda: shim.active == 0)
    return shim.codes[before:]


@pytest.mark.parametrize("sent", [0, 1, 100_000, 3_000_000])
def test_a_client_that_hangs_up(service: Service, directory: Path, sent: int) -> None:
    path = f"{RUN}/hang-up-{sent}"
    service.put(path, b"old")
    for framing in ({"content-length": "3000001"}, {"transfer-encoding": "chunked"}):
        body = os.urandom(sent)
        if "transfer-encoding" in framing:
            body = b"%x\r\n" % (sent + 5) + body
        assert abandon(service, service.head("PUT", path, **framing), body) == ["HK4006"]
        assert abandon(service, service.head("PUT", path + "-new", **framing), body) == ["HK4006"]
    assert leftovers(directory / "store") == []
    assert service.get(path).body == b"old"
    assert service.get(path + "-new").status == 404
    assert service.put(path, b"new").status == 200


def test_a_reset_connection(service: Service, directory: Path) -> None:
    shim = service.shim
    assert shim is not None
    with service.connected() as connection:
        connection.sendall(service.head("PUT", f"{RUN}/reset", **{"content-length": "1000000"}) + bytes(1000))
        eventually(lambda: shim.active > 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    eventually(lambda: shim.active == 0)
    assert leftovers(directory / "store") == []
    assert service.get(f"{RUN}/reset").status == 404


def test_a_sender_that_stops_sending(strict: tuple[Service, Path]) -> None:
    service, store = strict
    with service.connected() as connection:
        connection.sendall(service.head("PUT", f"{RUN}/slow", **{"content-length": "1000"}) + b"x" * 500)
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"HK1009" in answer
    assert leftovers(store) == []
    assert service.get(f"{RUN}/slow").status == 404


def test_a_sender_with_pauses_below_the_bound_is_served(strict: tuple[Service, Path]) -> None:
    service, _ = strict
    with service.connected() as connection:
        connection.sendall(service.head("PUT", f"{RUN}/drip", **{"content-length": "8"}))
        for _ in range(8):
            time.sleep(IDLE / 4)
            connection.sendall(b"x")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert service.get(f"{RUN}/drip").body == b"x" * 8


def test_too_large_is_refused_before_the_body(strict: tuple[Service, Path]) -> None:
    service, store = strict
    head = service.head("PUT", f"{RUN}/large", **{"content-length": str(LIMIT + 1), "expect": "100-continue"})
    with service.connected() as connection:
        connection.sendall(head)
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"HK4003" in answer
    assert leftovers(store) == []


def test_too_large_is_noticed_on_the_way(strict: tuple[Service, Path]) -> None:
    service, store = strict
    with service.connected() as connection:
        connection.sendall(service.head("PUT", f"{RUN}/large", **{"transfer-encoding": "chunked"}))
        connection.sendall((b"%x\r\n" % (LIMIT + 1)) + bytes(LIMIT + 1))
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert leftovers(store) == []
    assert service.put(f"{RUN}/large", bytes(LIMIT)).status == 200
    assert service.put(f"{RUN}/large", iter([bytes(LIMIT)])).status == 200


def test_waiting_for_100_continue(service: Service) -> None:
    with service.connected() as connection:
        connection.sendall(service.head("PUT", f"{RUN}/polite", **{"content-length": "5", "expect": "100-continue"}))
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"12345")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_connection_is_usable_after_a_refused_body(service: Service) -> None:
    with service.connected() as connection:
        refused = service.head("PUT", f"workspaces/nobody/{RUN}/a", **{"content-length": "300000"}) + bytes(300000)
        connection.sendall(refused + service.head("GET", f"{RUN}/none", connection="close"))
        answers = b""
        while piece := connection.recv(65536):
            answers += piece
    assert answers.count(b"HTTP/1.1 404 ") == 2
    assert answers.count(b"HTTP/1.1 ") == 2


def test_a_full_disk(small_disk: Path, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'hokusai.db'}"
    create_tables(database)
    with running(small_disk.as_uri(), database) as service:
        service.put(f"{RUN}/file", b"old")
        for body in (bytes(16_000_000), iter([bytes(1_000_000)] * 16)):
            answer = service.put(f"{RUN}/file", body)
            assert (answer.status, code(answer)) == (507, "HK4005")
            assert leftovers(small_disk) == []
        assert service.get(f"{RUN}/file").body == b"old"
        assert service.put(f"{RUN}/file", bytes(5_000_000)).status == 200
        assert files(service.list(RUN)) == {"file": 5_000_000}


def test_a_ledger_that_is_away_keeps_nothing(own_postgres: Postgres, tmp_path: Path) -> None:
    url = own_postgres.create_database()
    create_tables(url)
    with running(tmp_path.as_uri(), url) as service:
        service.put(f"{RUN}/file", b"old")
        own_postgres.stop()
        for path in (f"{RUN}/file", f"{RUN}/new"):
            answer = service.put(path, b"new")
            assert (answer.status, code(answer)) == (503, "HK5001")
            assert answer.headers["retry-after"]
        own_postgres.start()
        assert service.get(f"{RUN}/file").body == b"old"
        assert files(service.list(RUN)) == {"file": 3}
        assert leftovers(tmp_path) == []
        assert service.put(f"{RUN}/new", b"new").status == 200


def test_a_deletion_cut_short_is_finished_by_the_next(service: Service, directory: Path) -> None:
    """The files went, the records did not: as when the database fails in between."""
    service.put(f"{RUN}/half/file", b"1")
    shutil.rmtree(directory / "store/workspaces/acme" / RUN / "half")
    assert service.call("DELETE", f"/{RUN}/half").status == 200
    assert service.call("DELETE", f"/{RUN}/half").status == 404
    engine = sa.create_engine(f"sqlite:///{directory / 'hokusai.db'}")
    with engine.connect() as connection:
        assert not connection.execute(sa.select(artifacts).where(artifacts.c.path == f"{RUN}/half/file")).all()
    engine.dispose()


def test_a_reader_that_hangs_up_stops_the_reading(service: Service, directory: Path) -> None:
    service.put(f"{RUN}/beside", b"1")
    big = directory / "store/workspaces/acme" / RUN / "big"
    big.touch()
    os.truncate(big, 1 << 40)  # all holes: takes minutes to read
    shim = service.shim
    assert shim is not None
    with service.connected() as connection:
        connection.sendall(service.head("GET", f"{RUN}/big"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert shim.active == 1
    eventually(lambda: shim.active == 0)


def test_a_reader_that_takes_nothing_is_cut_off(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'hokusai.db'}"
    create_tables(database)
    with running((tmp_path / "store").as_uri(), database, stall_seconds=0.3) as service:
        service.put(f"{RUN}/big", bytes(64_000_000))
        shim = service.shim
        assert shim is not None
        with service.connected() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            connection.sendall(service.head("GET", f"{RUN}/big"))
            eventually(lambda: shim.active == 1)
            eventually(lambda: shim.active == 0)
            received = 0
            with contextlib.suppress(ConnectionResetError):
                while piece := connection.recv(1 << 20):
                    received += len(piece)
            assert received < 64_000_000
