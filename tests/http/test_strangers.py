"""What a connection may cost before it is known who it belongs to: memory, time and places."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from bench.fairness.flood import STRANGERS, Flood
from hokusai.http.connections import Connections
from hokusai.http.protocol import Protocol
from hokusai.identity import PRINCIPAL
from tests.http.test_large_body import listening
from tests.http.test_protocol import GET, Line, ended_within

KIB = 1024
#: The bound is 64 KiB. Python's allocations are nearly all of it; the rest is the event loop's own.
MOST = 48 * KIB
COUNT = 60


class Quick(Protocol):
    linger_seconds = 0.5
    stranger_idle_seconds = 1
    stranger_stall_seconds = 0.5
    stall_seconds = 60.0


class Gateway:
    """Answers 401 without reading the body: at once, or when ``judge`` is called. ``/known`` has a principal."""

    def __init__(self) -> None:
        self.asked = 0
        self._judged: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.slow = False
        self.begun, self.goes_on = threading.Event(), threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._loop = asyncio.get_running_loop()
        self._judged = self._judged or asyncio.Event()
        self.asked += 1
        if self.slow:
            await self._judged.wait()
        if scope["path"].startswith("/known"):
            scope[PRINCIPAL] = "somebody"
            size = 20_000_000 if scope["path"] == "/known/large" else 5
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
            await send({"type": "http.response.body", "body": bytes(size)})
            return
        await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"2")]})
        if scope["path"] == "/slowly":
            self.begun.set()
            await asyncio.to_thread(self.goes_on.wait, 10)
        await send({"type": "http.response.body", "body": b"no"})

    def judge(self) -> None:
        if self._loop is not None and self._judged is not None:
            self._loop.call_soon_threadsafe(self._judged.set)


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture(params=["uvloop", "asyncio"])
def port(request: pytest.FixtureRequest, gateway: Gateway) -> Iterator[int]:
    with listening(request.param, gateway, protocol=Quick) as found:
        yield found
        gateway.judge()


def allocated() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.fixture
def tracing() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("tracing")
@pytest.mark.parametrize("name", STRANGERS)
def test_a_stranger_costs_little_before_and_after_the_refusal(port: int, gateway: Gateway, name: str) -> None:
    gateway.slow = True
    with Flood(port, 2, STRANGERS[name]):
        time.sleep(0.1)
    before = allocated()
    with Flood(port, COUNT, STRANGERS[name]):
        time.sleep(0.3)
        assert (allocated() - before) / COUNT < MOST
        gateway.judge()
        time.sleep(0.2)
        assert (allocated() - before) / COUNT < MOST


@pytest.mark.parametrize("name", [name for name in STRANGERS if "10 GB" in name or "chunk, " in name])
def test_a_refusal_ends_a_connection_whose_body_is_unread(port: int, name: str) -> None:
    with Line(port).send(STRANGERS[name]) as line:
        answer = line.answer()
        assert (answer.status, answer.body) == (401, b"no")
        assert ended_within(line, 5)


def test_a_body_that_goes_on_after_the_refusal_is_given_up(port: int) -> None:
    """The answer is not lost, although the client goes on sending."""
    with Line(port).send(STRANGERS["one byte of 10 GB"]) as line:
        start = time.monotonic()
        with suppress(ConnectionError):
            while time.monotonic() < start + 20:
                line.send(bytes(100_000))
        assert time.monotonic() < start + 10


def test_a_body_that_ends_in_time_lets_the_next_request_follow(port: int) -> None:
    head = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n"
    with Line(port) as line:
        for _ in range(3):
            assert line.send(head).answer().status == 401
            line.send(bytes(300_000))
        assert line.send(GET).answer().status == 401
        assert ended_within(line, 10)  # it is idle then


def test_a_client_that_expects_to_be_asked_is_told_that_the_connection_ends(port: int) -> None:
    head = b"PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 30\r\n\r\n"
    with Line(port).send(head) as line:
        answer = line.answer()
        assert (answer.status, answer.headers["connection"]) == (401, "close")
        line.send(GET)  # not the body: it must not be taken for one, nor answered
        assert line.ended()


def test_nothing_behind_a_last_response_is_answered(
    port: int, gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even where the body and another request arrive while that response is being sent."""
    head = b"PUT /slowly HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    with Line(port).send(head) as line:
        assert gateway.begun.wait(10)
        line.send(b"abc" + GET)
        time.sleep(0.1)  # until it has arrived
        gateway.goes_on.set()
        answer = line.answer()
        assert (answer.status, answer.headers["connection"]) == (401, "close")
        assert line.ended()
    assert "Exception" not in caplog.text


def test_a_chunked_body_that_ends_in_time_lets_the_next_request_follow(port: int) -> None:
    with Line(port) as line:
        for _ in range(3):
            line.send(b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            assert line.answer().status == 401
            line.send(b"3\r\nabc\r\n0\r\n\r\n" + GET)
            assert line.answer().status == 401


def test_a_client_that_reads_nothing_is_given_up(port: int) -> None:
    with Flood(port, 20, STRANGERS["1,000 requests"] * 40) as flood:
        end = time.monotonic() + 30
        while flood.open(read=False) and time.monotonic() < end:
            flood.send(0.1)
        assert not flood.open(read=False)


def test_one_with_a_key_may_read_slowly(port: int) -> None:
    with Line(port).send(b"GET /known/large HTTP/1.1\r\nHost: x\r\n\r\n") as line:
        time.sleep(3 * Quick.stranger_stall_seconds)
        assert len(line.answer().body) == 20_000_000


def test_a_stranger_may_idle_for_a_moment_only(port: int) -> None:
    with Line(port) as silent, Line(port).send(GET) as refused, Line(port) as known:
        assert refused.answer().status == 401
        assert known.send(b"GET /known HTTP/1.1\r\nHost: x\r\n\r\n").answer().status == 200
        assert ended_within(silent, 5)
        assert ended_within(refused, 5)
        assert not ended_within(known, 0.5)


def test_many_requests_at_once_are_answered_in_order(port: int) -> None:
    count = 3000
    with Line(port) as line:
        line.send(b"".join(b"GET /known HTTP/1.1\r\nHost: x\r\n\r\n" for _ in range(count)))
        assert [line.answer().status for _ in range(count)] == [200] * count


def limited(**facts: Any) -> Connections:
    return Connections(**{"most": 10, "most_per_address": 4, **facts})


def opened(port: int, address: str) -> Line:
    line = Line.__new__(Line)
    line.socket = socket.create_connection(("127.0.0.1", port), 30, source_address=(address, 0))
    line.reader = line.socket.makefile("rb")
    return line


@pytest.fixture(params=["uvloop", "asyncio"])
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Patient(Quick):
    stranger_idle_seconds = 60


def test_an_address_has_a_limit_and_others_do_not_notice(loop: str, gateway: Gateway) -> None:
    with listening(loop, gateway, protocol=partial(Patient, connections=limited())) as port:
        lines = [opened(port, "127.0.0.5") for _ in range(4)]
        assert [line.send(GET).answer().status for line in lines] == [401] * 4
        with opened(port, "127.0.0.5") as one_more, opened(port, "127.0.0.6") as neighbour:
            assert one_more.ended()
            assert neighbour.send(GET).answer().status == 401
        lines.pop().__exit__()
        for line in lines:
            line.__exit__()


def test_a_trusted_proxy_has_no_limit_of_its_own(loop: str, gateway: Gateway) -> None:
    connections = limited(is_trusted=lambda address: address == "127.0.0.5")
    with listening(loop, gateway, protocol=partial(Patient, connections=connections)) as port:
        lines = [opened(port, "127.0.0.5") for _ in range(10)]
        assert [line.send(GET).answer().status for line in lines] == [401] * 10
        with opened(port, "127.0.0.6") as one_more:
            assert one_more.ended()  # those of a proxy are not given away
        for line in lines:
            line.__exit__()


def test_idle_strangers_make_room(loop: str, gateway: Gateway) -> None:
    """From as many addresses as they like: whoever has a key gets in, and stays."""
    known = b"GET /known HTTP/1.1\r\nHost: x\r\n\r\n"
    with listening(loop, gateway, protocol=partial(Patient, connections=limited())) as port:
        with opened(port, "127.0.0.99") as first:
            assert first.send(known).answer().status == 200
            lines = [opened(port, f"127.0.0.{number}") for number in range(3, 33)]
            with opened(port, "127.0.0.98") as last:
                assert last.send(known).answer().status == 200
                assert first.send(known).answer().status == 200
            assert sum(ended_within(line, 0.2) for line in lines) >= 21
        for line in lines:
            line.__exit__()
