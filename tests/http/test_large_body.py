"""Large bodies bypass the HTTP parser and arrive unchanged: over real sockets, under both event loops."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from hokusai.http.large_body import BUFFER, THRESHOLD
from hokusai.http.protocol import Protocol
from tests.http.test_protocol import GET, Line

SIZES = [THRESHOLD - 1, THRESHOLD, THRESHOLD + 1, BUFFER - 1, BUFFER, BUFFER + 1, 5 * BUFFER + 17]
#: What the application under test saw: the sizes of its messages.
seen: list[int] = []
#: The application reads no further while this is clear.
reads = threading.Event()


async def digest(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the body's SHA-256; ``/refused`` answers before it is read; ``/slow`` takes its time."""
    found, more = hashlib.sha256(), scope["path"] != "/refused"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            seen.append(-1)
            return
        found.update(message["body"])
        seen.append(len(message["body"]))
        more = message["more_body"]
        while scope["path"] == "/slow" and not reads.is_set():
            await asyncio.sleep(0.01)
    said = found.hexdigest().encode()
    headers = [(b"content-length", b"%d" % len(said))]
    await send(
        {"type": "http.response.start", "status": 413 if scope["path"] == "/refused" else 200, "headers": headers}
    )
    await send({"type": "http.response.body", "body": said})


@contextmanager
def listening(loop: str, app: ASGIApp, protocol: Any = Protocol) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0), backlog=200) as listener:
        server = uvicorn.Server(uvicorn.Config(app, http=protocol, ws="none", lifespan="off", log_config=None))
        factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop

        def run() -> None:
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(server.serve([listener]))

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    with listening(request.param, digest) as found:
        yield found


def put(body: bytes, path: str = "/", more: str = "") -> bytes:
    return f"PUT {path} HTTP/1.1\r\nHost: x\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


def sha(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


@pytest.mark.parametrize("size", SIZES)
def test_every_byte_arrives_in_messages_of_bounded_size(port: int, size: int) -> None:
    seen.clear()
    body = os.urandom(size)
    with Line(port).send(put(body)) as line:
        assert line.answer().body == sha(body)
    assert sum(seen) == size
    assert max(seen) <= BUFFER


def test_a_connection_goes_on_after_it(port: int) -> None:
    with Line(port) as line:
        for size in (BUFFER + 1, 3, 2 * BUFFER, 0, THRESHOLD):
            body = os.urandom(size)
            assert line.send(put(body)).answer().body == sha(body)


def test_what_is_pipelined_behind_it_is_a_request_of_its_own(port: int) -> None:
    one, two = os.urandom(BUFFER + 5), os.urandom(THRESHOLD * 2)
    with Line(port) as line:
        line.send(put(one) + put(two) + GET + put(b"three") + put(one))
        assert [line.answer().body for _ in range(5)] == [sha(one), sha(two), sha(b""), sha(b"three"), sha(one)]


def test_a_body_in_drops_is_handed_on_as_it_comes(port: int) -> None:
    seen.clear()
    body = os.urandom(THRESHOLD)
    request = put(body)
    head = len(request) - len(body)
    with Line(port) as line:
        line.send(request[: head - 2])
        time.sleep(0.05)
        line.send(request[head - 2 : head + 1])
        wait_for(lambda: sum(seen) == 1)
        line.send(request[head + 1 : head + 1000])
        wait_for(lambda: sum(seen) == 1000)
        assert line.send(request[head + 1000 :]).answer().body == sha(body)


def test_a_refusal_comes_before_the_body_is_through(port: int) -> None:
    body = os.urandom(3 * BUFFER)
    with Line(port) as line:
        assert line.send(put(body, "/refused")).answer().status == 413
        assert line.send(put(b"next")).answer().body == sha(b"next")


def test_a_client_that_goes_away_is_told_to_the_application(port: int) -> None:
    seen.clear()
    with Line(port) as line:
        line.send(put(os.urandom(2 * BUFFER))[: BUFFER + 300])
    wait_for(lambda: -1 in seen)


def test_a_sender_waits_while_the_application_does(port: int) -> None:
    """The socket's buffers fill, and no more than a buffer is held here."""
    seen.clear()
    reads.clear()
    body = bytes(64 * BUFFER)
    with Line(port) as line:
        line.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            line.socket.sendall(put(body, "/slow"))
        assert len(seen) == 1
    reads.set()


def test_an_expectation_is_answered_when_the_body_is_asked_for(port: int) -> None:
    body = os.urandom(THRESHOLD)
    request = put(body, more="Expect: 100-continue\r\n")
    with Line(port) as line:
        line.send(request[: -len(body)])
        assert line.reader.readline().startswith(b"HTTP/1.1 100")
        line.reader.readline()
        assert line.send(body).answer().body == sha(body)


def test_connection_close_is_heeded(port: int) -> None:
    body = os.urandom(BUFFER)
    with Line(port).send(put(body, more="Connection: close\r\n")) as line:
        assert line.answer().body == sha(body)
        assert line.ended()


def wait_for(what: object, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not what():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.01)
