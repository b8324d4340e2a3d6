"""Floods by those who have no key, or nothing to say: connections, unread bodies, long texts."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from bench.fairness.arena import Arena, Scenario
from bench.fairness.flood import STRANGERS, Flood, open_files, read_document

_LONG = json.dumps({"name": "x" * 3_900_000}).encode()


@contextmanager
def _repeated(*calls: Callable[[], object]) -> Iterator[None]:
    """Each call again and again on a thread of its own, until the block ends."""
    ended = threading.Event()

    def repeat(call: Callable[[], object]) -> None:
        while not ended.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                call()

    threads = [threading.Thread(target=repeat, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


@contextmanager
def _idle(arena: Arena, count: int, per_address: int) -> Iterator[None]:
    with open_files(), Flood(arena.port, count, per_address=per_address):
        yield


def _unread(arena: Arena) -> contextlib.AbstractContextManager[None]:
    """200 connections, each with one byte of 10 GB; as soon as they are closed, 200 more."""

    def flood() -> None:
        with Flood(arena.port, 200, STRANGERS["one byte of 10 GB"]):
            time.sleep(2)

    return _repeated(flood)


def _keyless(arena: Arena) -> contextlib.AbstractContextManager[None]:
    """About 200 requests a second."""

    def ask() -> None:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", arena.port, timeout=30)) as connection:
            for _ in range(20):
                connection.request("GET", "/api/2.0/mlflow/runs/get?run_id=x")
                connection.getresponse().read()
                time.sleep(0.005)

    return _repeated(ask)


def _long_names(arena: Arena) -> contextlib.AbstractContextManager[None]:
    """Two clients with a key send names of 3.9 MB, ten a second together."""

    def send() -> None:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", arena.port, timeout=30)) as connection:
            headers = {**arena.attacker, "Content-Type": "application/json"}
            connection.request("POST", "/api/2.0/mlflow/experiments/create", _LONG, headers)
            connection.getresponse().read()
        time.sleep(0.2)

    return _repeated(send, send)


def memory(arena: Arena) -> Mapping[tuple[str, str], float]:
    """The most that a connection without a principal costs, of all that it may send."""
    worst = 0.0
    count = 300
    read_document(arena.port)
    for data in STRANGERS.values():
        before = arena.resident()
        with Flood(arena.port, count, data):
            time.sleep(0.5)
            worst = max(worst, (arena.resident() - before) / count / 1024)
    return {("a connection without a principal", "KiB"): worst}


def lag(arena: Arena) -> Mapping[tuple[str, str], float]:
    return {("the event loop's lag", "ms"): arena.lag() * 1000}


SCENARIOS = (
    Scenario("4,200 idle connections from one address", lambda arena: _idle(arena, 4_200, 4_200), memory),
    Scenario("5,000 idle connections from 50 addresses", lambda arena: _idle(arena, 5_000, 100)),
    Scenario("200 unread bodies every two seconds", _unread, lag),
    Scenario("requests without a key", _keyless),
    Scenario("names of 3.9 MB", _long_names, lag, aim=""),
)


def stop(arena: Arena) -> float:
    """Seconds from SIGTERM to the end of the process, with 500 connections and one of each kind of stranger."""
    with open_files(), Flood(arena.port, 500), contextlib.ExitStack() as stack:
        for data in STRANGERS.values():
            stack.enter_context(Flood(arena.port, 5, data))
        start = time.monotonic()
        arena.server.session.leader.terminate()
        arena.server.session.leader.wait(120)
        return time.monotonic() - start
