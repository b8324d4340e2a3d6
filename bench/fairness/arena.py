"""A server with one good client, and what a scenario is."""

from __future__ import annotations

import http.client
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench.peers import Server

#: What the good client asks for.
READ = "/api/2.0/mlflow/registered-models/search?max_results=1"


@dataclass(frozen=True)
class Arena:
    """A running server, and the headers of three: the good client, another tenant (``attacker``), and the operator."""

    server: Server
    headers: Mapping[str, str]
    attacker: Mapping[str, str]
    operator: Mapping[str, str]

    @property
    def port(self) -> int:
        port = urlsplit(self.server.base).port
        assert port is not None
        return port

    def resident(self) -> int:
        """Bytes."""
        return self.server.session.size().rss

    def lag(self) -> float:
        """The longest that the event loop was held up in the last minute or two, in seconds."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", "/metrics", headers=dict(self.operator))
            text = connection.getresponse().read().decode()
        finally:
            connection.close()
        line = next(line for line in text.splitlines() if line.startswith("hokusai_event_loop_lag_seconds "))
        return float(line.split()[1])


@dataclass(frozen=True)
class Scenario:
    """What somebody does to the server while the good client is measured.

    ``standing`` does it until its block ends. ``figures`` measures more, once the block has begun: a name with its unit
    to its value.
    """

    name: str
    standing: Callable[[Arena], AbstractContextManager[object]]
    figures: Callable[[Arena], Mapping[tuple[str, str], float]] = field(default=lambda arena: {})
    #: The most that the good client's p99 may be, in times of the quiet one.
    aim: str = "≤ 2"


def p99(arena: Arena, seconds: float) -> float:
    """Of the good client's requests, one at a time on one connection, in seconds. Whatever is not 200 ends the run."""
    connection = http.client.HTTPConnection("127.0.0.1", arena.port, timeout=60)
    found: list[float] = []
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end or len(found) < 100:
            start = time.perf_counter()
            connection.request("GET", READ, headers=dict(arena.headers))
            answer = connection.getresponse()
            body = answer.read()
            found.append(time.perf_counter() - start)
            if answer.status != 200:
                raise SystemExit(f"the good client got {answer.status} {body[:200]!r}")
    finally:
        connection.close()
    return statistics.quantiles(found, n=100)[98]
