"""An upload whose connection breaks is resumed where it was, on a disk and on a bucket."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hokusai.artifacts.resumable import UploadRequest
from tests.artifacts.http.test_app import RUN, code
from tests.artifacts.http.test_upload import eventually, leftovers
from tests.artifacts.service import Answer, Service, create_tables, running

SIZE = 12 << 20
NAME = "0123456789abcdef"


@pytest.fixture(params=["file", "memory"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    database = f"sqlite:///{tmp_path / 'hokusai.db'}"
    create_tables(database)
    store = (tmp_path / "store").as_uri() if request.param == "file" else "memory:///"
    with running(store, database) as found:
        yield found


@pytest.fixture(scope="module")
def content() -> bytes:
    return os.urandom(SIZE)


def begin(service: Service, path: str, content: bytes, *, sent: int, name: str = NAME) -> None:
    """Send a part of a file, hang up, and wait until the server has noticed."""
    assert service.shim is not None
    with service.connected() as connection:
        head = service.head("PUT", path, **{"content-length": str(len(content)), "hokusai-upload": name})
        connection.sendall(head + content[:sent])
    eventually(lambda: "HK4006" in service.shim.codes and not service.shim.active)  # type: ignore[union-attr]


def there(service: Service, path: str, name: str = NAME) -> int:
    answer = service.call("HEAD", "/" + path, None, {"hokusai-upload": name})
    assert answer.status == 204
    return int(answer.headers["upload-offset"])


def rest(content: bytes, offset: int, name: str = NAME) -> dict[str, str]:
    return {"hokusai-upload": name, "content-range": f"bytes {offset}-{len(content) - 1}/{len(content)}"}


def test_it_goes_on_where_it_was(service: Service, content: bytes) -> None:
    path = f"{RUN}/large"
    begin(service, path, content, sent=SIZE * 9 // 10)
    offset = there(service, path)
    assert SIZE // 2 < offset <= SIZE * 9 // 10
    assert service.get(path).status == 404, "nothing of it is to be seen"
    answer = service.call("PUT", "/" + path, content[offset:], rest(content, offset))
    assert answer.status == 200
    assert answer.headers["etag"] == f'"{hashlib.sha256(content).hexdigest()}"'
    assert service.get(path).body == content
    assert there(service, path) == 0, "it is done"


def test_it_goes_on_after_a_second_cut(service: Service, content: bytes) -> None:
    path = f"{RUN}/twice"
    begin(service, path, content, sent=SIZE * 3 // 10)
    first = there(service, path)
    assert service.shim is not None
    service.shim.codes.clear()
    with service.connected() as connection:
        headers = {**rest(content, first), "content-length": str(SIZE - first)}
        connection.sendall(service.head("PUT", path, **headers) + content[first : SIZE * 8 // 10])
    eventually(lambda: "HK4006" in service.shim.codes and not service.shim.active)  # type: ignore[union-attr]
    second = there(service, path)
    assert first < second <= SIZE * 8 // 10
    assert service.call("PUT", "/" + path, content[second:], rest(content, second)).status == 200
    assert service.get(path).body == content


def test_a_request_that_still_waits_for_its_client_gives_way(service: Service, content: bytes) -> None:
    """The network is gone, and nobody told the server."""
    path = f"{RUN}/silent"
    with service.connected() as connection:
        head = service.head("PUT", path, **{"content-length": str(SIZE), "hokusai-upload": NAME})
        connection.sendall(head + content[: SIZE // 2])
        eventually(lambda: service.shim is not None and service.shim.active > 0)
        offset = there(service, path)
        assert service.call("PUT", "/" + path, content[offset:], rest(content, offset)).status == 200
    assert service.get(path).body == content


async def test_a_request_that_is_aborted_while_it_writes_waits_no_longer() -> None:
    request = UploadRequest()
    async with request.wait(60):
        pass
    request.abort()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(30), request.wait(60):
            await asyncio.Event().wait()
    request.abort()


def test_it_belongs_to_one_place_one_name_and_one_offset(service: Service, content: bytes) -> None:
    path = f"{RUN}/mine"
    begin(service, path, content, sent=SIZE // 2)
    offset = there(service, path)
    assert there(service, f"{RUN}/other") == there(service.of("beta"), path) == there(service, path, "f" * 16) == 0
    for wrong in (offset - 1, offset + 1):
        assert code(service.call("PUT", "/" + path, content[wrong:], rest(content, wrong))) == "HK4019"
    for headers in (
        {"content-range": f"bytes {offset}-{SIZE - 1}/{SIZE}"},  # of no named upload
        rest(content + b"x", offset),
        {"hokusai-upload": NAME, "content-range": "bytes */5"},
        {"hokusai-upload": NAME, "content-range": f"bytes {offset}-{SIZE - 2}/{SIZE}"},
    ):
        assert code(service.call("PUT", "/" + path, content[offset:], headers)) == "HK4011"
    assert there(service, path) == offset, "whoever was refused has changed nothing"


def test_what_nobody_goes_on_with_is_let_go(service: Service, content: bytes, tmp_path: Path) -> None:
    for number in range(6):
        begin(service, f"{RUN}/left", content, sent=SIZE // 2, name=f"{NAME}-{number}")
        assert service.shim is not None
        service.shim.codes.clear()
    kept = [number for number in range(6) if there(service, f"{RUN}/left", f"{NAME}-{number}")]
    assert kept == [2, 3, 4, 5], "a workspace has four at a time"
    if (tmp_path / "store").exists():
        eventually(lambda: len(leftovers(tmp_path / "store")) == 4)


def test_conditions_of_an_upload(service: Service) -> None:
    path = f"{RUN}/conditional"
    assert code(service.put(path, b"1", If_Match="*")) == "HK4020"
    assert service.put(path, b"1", If_None_Match="*").status == 200
    refused = service.put(path, b"2", If_None_Match="*")
    assert (refused.status, code(refused)) == (412, "HK4020")
    tag = service.get(path).headers["etag"]
    assert service.put(path, b"2", If_Match=tag).status == 200
    assert service.put(path, b"3", If_Match=tag).status == 412
    assert service.get(path, If_Match=tag).status == 412
    assert service.get(path).body == b"2"


def test_a_condition_that_comes_in_two_lines_is_one(service: Service) -> None:
    path = f"{RUN}/twice-told"
    service.put(path, b"1")
    assert service.put(path, b"2", If_None_Match="*, *").status == 412
    assert service.put(path, b"2", If_None_Match='"other", *').status == 412
    assert service.get(path).body == b"1"


def test_conditions_of_a_deletion(service: Service) -> None:
    path = f"{RUN}/directory/file"
    tag = service.put(path, b"1").headers["etag"]
    service.put(path, b"2")

    def delete(path: str, **headers: str) -> Answer:
        return service.call("DELETE", "/" + path, None, {n.replace("_", "-"): v for n, v in headers.items()})

    for refused in ({"If_Match": tag}, {"If_Match": '"other"'}, {"If_None_Match": "*"}):
        answer = delete(path, **refused)
        assert (answer.status, code(answer)) == (412, "HK4020"), refused
    for unknown in (f"{RUN}/directory", f"{RUN}/nothing"):  # neither is a file, so no condition is looked at
        assert delete(unknown, If_Match="*").status == 404
    assert service.get(path).body == b"2"
    assert service.get(path).headers["etag"], "its record is there as well"
    assert delete(path, If_Match=service.get(path).headers["etag"]).status == 200
    assert service.get(path).status == 404


def test_of_two_who_create_one_wins(service: Service) -> None:
    """Both were judged while there was nothing; the second finds that it is no longer so."""
    path = f"{RUN}/race"
    with service.connected() as first, service.connected() as second:
        for connection in (first, second):
            connection.sendall(service.head("PUT", path, **{"content-length": "2", "if-none-match": "*"}) + b"a")
        eventually(lambda: service.shim is not None and service.shim.active == 2)
        statuses = []
        for connection in (first, second):
            connection.sendall(b"b")
            statuses.append(connection.recv(65536).split(b" ")[1])
    assert statuses == [b"200", b"412"]


def test_several_parts_in_one_answer(service: Service, content: bytes) -> None:
    path = f"{RUN}/parts"
    service.put(path, content)
    answer = service.get(path, Range=f"bytes=0-9,{SIZE - 5}-,100-{4 << 20}")
    assert answer.status == 206
    boundary = answer.headers["content-type"].partition("boundary=")[2].encode()
    head, *parts, end = answer.body.split(b"\r\n--" + boundary)
    assert (head, end) == (b"", b"--\r\n")
    bodies = [part.partition(b"\r\n\r\n")[2] for part in parts]
    assert bodies == [content[:10], content[-5:], content[100 : (4 << 20) + 1]]
    assert f"content-range: bytes 100-{4 << 20}/{SIZE}".encode() in parts[2]
