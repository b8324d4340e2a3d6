"""Files that were changed past the server: refused, with size, digest, range and restart in every combination."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.serving import Server, Team, serving

FILES = "/api/2.0/mlflow-artifacts/artifacts"
SMALL = b"the weights of a model" * 40
LARGE = bytes(range(256)) * (3 << 12)  # 3 MiB
DAMAGED = "HK4070"

Change = Callable[[Path], None]


def _other_bytes(path: Path) -> None:
    """In place, as an editor of bytes would."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xee\xee\xee")


def _other_bytes_same_time(path: Path) -> None:
    before = path.stat()
    _other_bytes(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _another_file_same_time(path: Path) -> None:
    """Renamed into place: another inode of the same size and time."""
    before = path.stat()
    other = path.with_name("other")
    other.write_bytes(b"\xee" * before.st_size)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(path)


def _last_byte(path: Path) -> None:
    before = path.stat()
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"!")


def _shorter(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


SAME_SIZE: tuple[Change, ...] = (_other_bytes, _other_bytes_same_time, _another_file_same_time, _last_byte)
OTHER_SIZE: tuple[Change, ...] = (_longer, _shorter, _empty)


@pytest.fixture(scope="module")
def team(server: Server) -> Team:
    return server.workspace("at-rest")


@pytest.fixture
def http(server: Server, team: Team) -> Iterator[httpx2.Client]:
    with server.http(team.key) as client:
        yield client


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12] + "/weights.bin"


def stored(server: Server, name: str) -> Path:
    return server.data / "artifacts" / "workspaces" / "at-rest" / name


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["hokusai"]["code"])


def downloaded(server: Server, key: str, name: str) -> tuple[bytes, bytes, bool]:
    """Head and body of one download over a plain socket, and whether the connection was reset."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        head = f"GET {FILES}/{name} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        data, reset = b"", False
        try:
            while piece := connection.recv(1 << 20):
                data += piece
        except ConnectionResetError:
            reset = True
    lines, _, body = data.partition(b"\r\n\r\n")
    return lines, body, reset


@pytest.mark.parametrize("read_before", [False, True], ids=["unread", "read"])
@pytest.mark.parametrize("change", [*SAME_SIZE, *OTHER_SIZE], ids=lambda change: change.__name__.strip("_"))
def test_a_small_file_is_refused_before_its_first_byte(
    server: Server, http: httpx2.Client, name: str, change: Change, read_before: bool
) -> None:
    assert http.put(f"{FILES}/{name}", content=SMALL).is_success
    if read_before:
        assert http.get(f"{FILES}/{name}").content == SMALL
    change(stored(server, name))
    for _ in range(3):
        assert code(http.get(f"{FILES}/{name}")) == (409, DAMAGED)
    for ranges in ("bytes=0-9", "bytes=-5", "bytes=0-", "bytes=0-1,5-6"):
        assert code(http.get(f"{FILES}/{name}", headers={"Range": ranges})) == (409, DAMAGED)
    assert http.head(f"{FILES}/{name}").status_code == 409


@pytest.mark.parametrize("change", [*SAME_SIZE, *OTHER_SIZE], ids=lambda change: change.__name__.strip("_"))
@pytest.mark.parametrize("first", ["bytes=0-9", "bytes=-5", "bytes=0-1,5-6"])
def test_no_range_of_a_changed_file_is_served(
    server: Server, http: httpx2.Client, name: str, change: Change, first: str
) -> None:
    assert http.put(f"{FILES}/{name}", content=SMALL).is_success
    change(stored(server, name))
    assert code(http.get(f"{FILES}/{name}", headers={"Range": first})) == (409, DAMAGED)
    assert code(http.get(f"{FILES}/{name}")) == (409, DAMAGED)


@pytest.mark.parametrize("change", SAME_SIZE, ids=lambda change: change.__name__.strip("_"))
def test_a_large_file_is_broken_off_before_its_last_byte(
    server: Server, http: httpx2.Client, team: Team, name: str, change: Change
) -> None:
    assert http.put(f"{FILES}/{name}", content=LARGE).is_success
    change(stored(server, name))
    head, body, reset = downloaded(server, team.key, name)
    assert head.startswith(b"HTTP/1.1 200")
    assert len(body) < len(LARGE)
    assert reset, "an older client takes a plain end of the connection for the end of the file"
    for ranges in ({}, {"Range": "bytes=0-9"}, {"Range": f"bytes={len(LARGE) - 9}-"}):
        assert code(http.get(f"{FILES}/{name}", headers=ranges)) == (409, DAMAGED)


@pytest.mark.parametrize("change", OTHER_SIZE, ids=lambda change: change.__name__.strip("_"))
def test_a_large_file_of_another_size_is_refused_before_its_first_byte(
    server: Server, http: httpx2.Client, name: str, change: Change
) -> None:
    assert http.put(f"{FILES}/{name}", content=LARGE).is_success
    change(stored(server, name))
    assert code(http.get(f"{FILES}/{name}")) == (409, DAMAGED)


def test_it_is_logged_audited_and_counted(server: Server, http: httpx2.Client, team: Team, name: str) -> None:
    with server.http() as operator:
        counted = _metric(operator, "hokusai_damaged_downloads_total")
        assert http.put(f"{FILES}/{name}", content=SMALL).is_success
        before = operator.get("/ready").json()["checks"]["artifacts"]["damaged"]
        _other_bytes(stored(server, name))
        with server.http(server.key(team.name).key) as another:  # refusals of one key are merged
            refused = another.get(f"{FILES}/{name}")
        assert code(refused) == (409, DAMAGED)
        assert refused.json()["error_code"] == "DATA_LOSS"
        assert _metric(operator, "hokusai_damaged_downloads_total") == counted + 1
        time.sleep(1)  # what /ready says is kept for as long
        ready = operator.get("/ready")
        assert ready.status_code == 200, "one changed file does not take a server out of service"
        assert ready.json()["checks"]["artifacts"]["damaged"] == before + 1
        assert _metric(operator, "hokusai_damaged_files") == before + 1
    assert any(name in line and "at-rest" in line for line in server.errors)
    assert server.audited(refused.headers["x-request-id"])["code"] == DAMAGED


def test_a_download_that_was_broken_off_is_audited(server: Server, http: httpx2.Client, team: Team, name: str) -> None:
    assert http.put(f"{FILES}/{name}", content=LARGE).is_success
    _other_bytes(stored(server, name))
    another = server.key(team.name)  # refusals of one key are merged
    head, _, _ = downloaded(server, another.key, name)
    found = re.search(rb"x-request-id: (\w+)", head)
    assert found
    assert server.audited(found[1].decode())["code"] == DAMAGED


def test_the_right_bytes_are_served_again(server: Server, http: httpx2.Client, name: str) -> None:
    """Restored from a backup, or uploaded again."""
    assert http.put(f"{FILES}/{name}", content=SMALL).is_success
    _other_bytes(stored(server, name))
    assert code(http.get(f"{FILES}/{name}")) == (409, DAMAGED)
    stored(server, name).write_bytes(SMALL)
    assert http.get(f"{FILES}/{name}").content == SMALL
    assert http.get(f"{FILES}/{name}").headers["etag"] == f'"{hashlib.sha256(SMALL).hexdigest()}"'
    _empty(stored(server, name))
    assert code(http.get(f"{FILES}/{name}")) == (409, DAMAGED)
    assert http.put(f"{FILES}/{name}", content=b"another").is_success
    assert http.get(f"{FILES}/{name}").content == b"another"


def test_a_copied_store_loses_its_times_and_is_served_with_digests(
    server: Server, http: httpx2.Client, name: str
) -> None:
    for content in (SMALL, LARGE):
        assert http.put(f"{FILES}/{name}", content=content).is_success
        os.utime(stored(server, name), (1, 1))
        assert http.get(f"{FILES}/{name}", headers={"Range": "bytes=3-9"}).content == content[3:10]
        assert http.get(f"{FILES}/{name}").content == content
        assert http.head(f"{FILES}/{name}").headers["etag"] == f'"{hashlib.sha256(content).hexdigest()}"'


def test_a_file_without_a_record_is_served_without_a_digest(server: Server, http: httpx2.Client, name: str) -> None:
    path = stored(server, name)
    path.parent.mkdir(parents=True)
    path.write_bytes(SMALL)
    answer = http.get(f"{FILES}/{name}")
    assert answer.content == SMALL
    assert "repr-digest" not in answer.headers


def test_another_process_refuses_it_at_once(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as first:
        team = first.workspace("at-rest")
        with first.http(team.key) as http:
            assert http.put(f"{FILES}/1/file", content=LARGE).is_success
            _other_bytes(stored(first, "1/file"))
            with pytest.raises(httpx2.TransportError):
                http.get(f"{FILES}/1/file")
    with serving(tmp_path / "data") as second, second.http(team.key) as http:
        assert code(http.get(f"{FILES}/1/file")) == (409, DAMAGED)


def test_files_that_are_replaced_all_the_time_are_never_called_damaged(
    server: Server, http: httpx2.Client, team: Team, name: str
) -> None:
    """A file has its name before its record is committed: a difference in that moment is not damage."""
    from concurrent.futures import ThreadPoolExecutor

    contents = [bytes([letter]) * 5000 for letter in b"abcdef"]
    assert http.put(f"{FILES}/{name}", content=contents[0]).is_success

    def put(content: bytes) -> None:
        with server.http(team.key) as client:
            for _ in range(15):
                assert client.put(f"{FILES}/{name}", content=content).is_success

    with ThreadPoolExecutor(6) as pool:
        uploads = [pool.submit(put, content) for content in contents]
        answers = []
        while not all(upload.done() for upload in uploads):
            answers.append(http.get(f"{FILES}/{name}"))
    for upload in uploads:
        upload.result()
    assert {answer.status_code for answer in answers} <= {200, 503}
    good = [answer for answer in answers if answer.status_code == 200]
    assert good
    for answer in good:
        assert answer.content in contents
        assert answer.headers["etag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'


def _metric(http: httpx2.Client, name: str) -> float:
    found = re.search(rf"^{name} ([0-9.]+)$", http.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0
