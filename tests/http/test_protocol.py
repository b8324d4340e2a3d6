"""Bytes that are refused before they become a request: over real sockets, against a real server."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from hokusai.http.connections import Connections
from hokusai.http.protocol import Protocol
from tests.serving import Server, Team, serving

FILES = "/api/2.0/mlflow-artifacts/artifacts"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Quick(Protocol):
    """The same, in less time and space."""

    head_seconds = 0.4
    linger_seconds = 0.4


MOST = 3


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the method, the path and the body."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message.get("body", b""), message.get("more_body", False)
    said = f"{scope['method']} {scope['path']} ".encode() + body
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(said))]})
    await send({"type": "http.response.body", "body": said})


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The error's code, where everything an error answer has is there."""
        shape = json.loads(self.body)
        assert shape["hokusai"]["request_id"] == self.headers["x-request-id"]
        assert shape["message"]
        assert self.headers["content-type"] == "application/json"
        assert self.headers["connection"] == "close"
        code: str = shape["hokusai"]["code"]
        return code


class Line:
    """A connection, byte by byte."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.reader = self.socket.makefile("rb")

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.close()
        self.socket.close()

    def send(self, data: bytes) -> Line:
        self.socket.sendall(data)
        return self

    def answer(self) -> Answer:
        status = int(self.reader.readline().split()[1])
        headers = {}
        while line := self.reader.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        return Answer(status, headers, self.reader.read(int(headers["content-length"])))

    def ended(self) -> bool:
        """Whether the server ends the connection without another byte."""
        try:
            return self.reader.read(1) == b""
        except ConnectionResetError:
            return True


@contextmanager
def listening(protocol: type[Protocol], connections: Connections | None = None) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made: Any = partial(protocol, connections=connections)
        config = uvicorn.Config(echo, http=made, ws="none", lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with listening(Protocol) as found:
        yield found


@pytest.fixture
def quick() -> Iterator[int]:
    with listening(Quick, Connections(most=MOST, most_per_address=MOST)) as found:
        yield found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("protocol") / "data") as found:
        yield found


@pytest.fixture(scope="module")
def team(server: Server) -> Team:
    return server.workspace("upgrade")


MALFORMED = {
    "garbage": b"\x16\x03\x01\x02\x00 hello\r\n\r\n",
    "a path outside ASCII": "GET /ä HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    "two lengths": b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "a length and chunks": b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a bad chunk": b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "CONNECT": b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n",
    "a space in a name": b"GET / HTTP/1.1\r\nHo st: x\r\n\r\n",
    "CONNECT to a path": b"CONNECT / HTTP/1.1\r\nHost: x\r\nContent-Length: 35\r\n\r\n" + GET,
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
    "a fragment": b"GET /#x HTTP/1.1\r\nHost: x\r\n\r\n",
    "a password": b"GET http://user:secret@x/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "another scheme": b"GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "a coding nobody undoes": b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "two lines of codings": b"PUT / HTTP/1.1\r\nHost: x\r\n"
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"PUT / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("request_", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_no_request_gets_the_one_error_shape(port: int, request_: bytes) -> None:
    with Line(port).send(request_) as line:
        answer = line.answer()
        assert (answer.status, answer.code) == (400, "HK1010")
        assert line.ended()


def test_the_refusal_is_logged_under_its_request_id(port: int, caplog: pytest.LogCaptureFixture) -> None:
    secret = b"hk_live_" + b"s" * 40
    with caplog.at_level(logging.INFO), Line(port).send(b"GET http://[" + secret + b" HTTP/1.1\r\n\r\n") as line:
        answer = line.answer()
    (record,) = (record for record in caplog.records if answer.headers["x-request-id"] in record.getMessage())
    assert record.levelno == logging.INFO
    assert secret.decode() not in caplog.text + answer.body.decode()


def test_headers_have_a_bound(port: int) -> None:
    for head in (
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 65_536 + b"\r\n\r\n",
        b"GET /" + b"x" * 65_536 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 1_000_000,  # and no end
        b"\r\n" * 40_000,
    ):
        with Line(port).send(head) as line:
            answer = line.answer()
            assert (answer.status, answer.code) == (431, "HK1011")
            assert line.ended()


def test_headers_below_the_bound_are_served_however_they_arrive(port: int) -> None:
    with Line(port) as line:
        for _ in range(3):
            line.send(b"GET /a HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 16_000)
            line.send(b"x" * 16_000 + b"\r\n\r\n")
            assert line.answer().body == b"GET /a "


def test_a_body_has_no_bound_here(port: int) -> None:
    body = bytes(3_000_000)
    with Line(port) as line:
        for _ in range(2):
            line.send(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            assert line.answer().body == b"PUT / " + body


def test_trailers_have_the_bound_of_headers(port: int) -> None:
    with Line(port).send(b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: ") as line:
        answer = line.send(b"x" * 500_000).answer()
        assert (answer.status, answer.code) == (431, "HK1011")


@pytest.mark.parametrize("begun", [b"G", b"\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n", GET[:-1]])
def test_headers_must_be_complete_in_time(quick: int, begun: bytes) -> None:
    with Line(quick).send(begun) as line:
        answer = line.answer()
        assert (answer.status, answer.code) == (408, "HK1012")
        assert line.ended()


def test_so_must_those_of_the_next_request(quick: int) -> None:
    with Line(quick).send(GET) as line:
        assert line.answer().body == b"GET / "
        answer = line.send(b"GET /").answer()
        assert (answer.status, answer.code) == (408, "HK1012")
        assert line.ended()


def test_a_dripping_sender_gains_no_time(quick: int) -> None:
    ended = threading.Event()
    with Line(quick) as line:

        def drip() -> None:
            while not ended.wait(0.05):
                try:
                    line.send(b"x")
                except OSError:
                    return

        line.send(b"GET /")
        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            assert line.answer().code == "HK1012"
        finally:
            ended.set()
            dripping.join()


def test_a_body_may_take_longer_than_headers(quick: int) -> None:
    with Line(quick).send(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na") as line:
        assert not ended_within(line, 3 * Quick.head_seconds)
        assert line.send(b"b").answer().body == b"PUT / ab"


def test_an_idle_connection_may_wait_longer_than_headers(quick: int) -> None:
    with Line(quick).send(GET) as line:
        line.answer()
        assert not ended_within(line, 3 * Quick.head_seconds)
        assert line.send(GET).answer().status == 200


@pytest.mark.parametrize("cut", range(2, len(GET) + 2))
def test_the_head_of_the_next_request_may_begin_behind_the_end_of_one(port: int, cut: int) -> None:
    """In one read with the end of a blank line; the rest of it comes when the first one has its answer."""
    with Line(port).send(GET[:-2]) as line:
        time.sleep(0.02)  # until it has been read
        rest = GET[-2:] + GET
        line.send(rest[:cut])
        assert line.answer().status == 200
        line.send(rest[cut:])
        assert line.answer().status == 200


def ended_within(line: Line, seconds: float) -> bool:
    line.socket.settimeout(seconds)
    try:
        return line.socket.recv(1, socket.MSG_PEEK) == b""
    except TimeoutError:
        return False
    finally:
        line.socket.settimeout(30)


def test_connections_have_a_bound(quick: int) -> None:
    lines = [Line(quick) for _ in range(MOST)]
    for line in lines:
        assert line.send(GET).answer().status == 200
    with Line(quick) as one_more:
        assert one_more.ended()
    for line in lines:
        assert line.send(GET).answer().status == 200
        line.__exit__()
    assert retried(quick).status == 200


def retried(port: int) -> Answer:
    """An answer as soon as the server has noticed that other connections ended."""
    for _ in range(100):
        try:
            with Line(port).send(GET) as line:
                return line.answer()
        except (OSError, IndexError):
            threading.Event().wait(0.02)
    raise AssertionError("no connection was freed")


@pytest.mark.parametrize("connection", ["Connection: Upgrade\r\n", ""])
@pytest.mark.parametrize(
    "body", [b"Content-Length: 3\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"]
)
def test_a_body_beside_upgrade_is_refused_and_replaces_nothing(
    server: Server, team: Team, connection: str, body: bytes
) -> None:
    path = f"{FILES}/kept.txt"
    with server.http(team.key) as client:
        assert client.put(path, content=b"what was there").is_success
        head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {team.key}\r\n{connection}Upgrade: h2c\r\n"
        with Line(httpx2.URL(server.url).port or 0).send(head.encode() + body) as line:
            answer = line.answer()
            assert (answer.status, answer.code) == (400, "HK1010")
            assert b"Upgrade" in answer.body
            assert line.ended()
        assert client.get(path).content == b"what was there"


def test_upgrade_without_a_body_is_ignored(port: int) -> None:
    upgrade = b"Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAA\r\n"
    with Line(port).send(b"GET /a HTTP/1.1\r\n" + upgrade + b"\r\n") as line:
        assert line.answer().body == b"GET /a "
        line.send(b"PUT /b HTTP/1.1\r\n" + upgrade + b"Content-Length: 0\r\n\r\n" + GET)  # and one right behind it
        assert line.answer().body == b"PUT /b "
        assert line.answer().body == b"GET / "


def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    with Line(port).send(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(20))) as line:
        assert [line.answer().body for _ in range(20)] == [b"GET /%d " % number for number in range(20)]


CHUNKS = b"PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"


def test_what_is_no_request_is_refused_after_those_before_it_were_answered(port: int) -> None:
    for bad in (b"nonsense\r\n\r\n", CHUNKS + b"zz\r\n"):
        with Line(port).send(GET + CHUNKS + b"0\r\n\r\n" + bad) as line:
            assert line.answer().body == b"GET / "
            assert line.answer().body == b"PUT /a a"
            answer = line.answer()
            assert (answer.status, answer.code) == (400, "HK1010")
            assert line.ended()


def test_a_client_that_leaves_several_requests_behind_leaves_no_trace(server: Server) -> None:
    """Uvicorn lets the one being answered write to a connection that is gone."""
    port = httpx2.URL(server.url).port or 0
    before = len(server.errors)
    for _ in range(30):
        with Line(port).send(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n" + GET) as line:
            line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
    with Line(port).send(GET) as line:
        assert line.answer().status == 200
    assert not [text for text in server.errors[before:] if "Traceback" in text or "ERROR" in text]


def test_a_trailer_is_no_header(server: Server) -> None:
    """A proxy checks and adds headers, and passes trailers on."""
    head = b"POST /api/v1/keys HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    for name in (b"X-API-Key: ", b"Authorization: Bearer "):
        trailer = name + server.operator_key.encode() + b"\r\n\r\n"
        with Line(httpx2.URL(server.url).port or 0).send(head + trailer) as line:
            answer = line.answer()
        assert (answer.status, json.loads(answer.body)["hokusai"]["code"]) == (401, "HK1101")


def test_a_trailer_that_closes_the_connection_does(port: int) -> None:
    with Line(port).send(CHUNKS + b"0\r\nConnection: close\r\n\r\n") as line:
        assert line.answer().body == b"PUT /a a"
        assert ended_within(line, 3)  # less than an idle connection is kept


def test_the_server_answers_so(server: Server, tmp_path: Path) -> None:
    with Line(httpx2.URL(server.url).port or 0).send(b"nonsense\r\n\r\n") as line:
        answer = line.answer()
    assert (answer.status, answer.code) == (400, "HK1010")
    assert server.stop() == 0
    assert any(answer.headers["x-request-id"] in text for text in server.errors)
