"""How many connections may be open: from one address, and in all."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import Protocol

import prometheus_client
from prometheus_client import CollectorRegistry, Gauge

log = logging.getLogger("hokusai.http")

#: Seconds between two lines of the log about connections that were closed.
_LOG_SECONDS = 60
#: So many of the oldest connections are looked at for one that can be closed to make room.
_LOOKED_AT = 64


class Connection(Protocol):
    """What is counted here."""

    @property
    def is_waiting(self) -> bool:
        """Whether no request of it is being answered."""

    def abort(self) -> None: ...


class Connections:
    """The open connections of this process: ``most`` in all, and ``most_per_address`` from one address.

    The proxies that ``is_trusted`` names carry the connections of many clients: for them there is no limit by address.

    Where all places are taken, a new connection gets that of a stranger: the oldest connection on which no good key has
    been seen and no request is being answered. So connections that do nothing can be opened in any number, and keep
    nobody out. ``network`` gives the name under which an address is counted.
    """

    def __init__(
        self,
        *,
        most: int,
        most_per_address: int,
        is_trusted: Callable[[str], bool] = lambda address: False,
        network: Callable[[str], str] = lambda address: address,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self.most = most
        self.most_per_address = most_per_address
        self.is_trusted = is_trusted
        self._network = network
        self._open: dict[Connection, str | None] = {}
        self._counts: Counter[str] = Counter()
        self._strangers: dict[Connection, None] = {}  # oldest first
        self._report = _Report()
        registry = registry or CollectorRegistry()
        self._gauge = Gauge("hokusai_connections", "Open connections.", registry=registry, multiprocess_mode="livesum")
        self._closed = prometheus_client.Counter(
            "hokusai_connections_closed",
            "Connections closed because too many were open: new ones past the limit of their address (address) or with "
            "all places taken (all), and idle ones without a key whose place was needed (idle).",
            ["reason"],
            registry=registry,
        )
        for reason in _WORDS:
            self._closed.labels(reason)

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Connection, address: str) -> bool:
        """Whether a new connection may stay. If so, it is counted until ``leave``."""
        trusted = self.is_trusted(address)
        place = None if trusted else self._network(address)
        if place is not None and self._counts[place] >= self.most_per_address:
            self._note("address", place)
            return False
        if len(self._open) >= self.most and not self._make_room():
            self._note("all", place or address)
            return False
        self._open[connection] = place
        self._gauge.set(len(self._open))
        if place is not None:
            self._counts[place] += 1
            self._strangers[connection] = None
        return True

    def identified(self, connection: Connection) -> None:
        """A request with a good key came over it."""
        self._strangers.pop(connection, None)

    def leave(self, connection: Connection) -> None:
        """It is closed. Does nothing where it was not admitted."""
        if connection not in self._open:
            return
        place = self._open.pop(connection)
        self._gauge.set(len(self._open))
        self._strangers.pop(connection, None)
        if place is not None:
            self._counts[place] -= 1
            if not self._counts[place]:
                del self._counts[place]

    def _make_room(self) -> bool:
        for stranger in islice(self._strangers, _LOOKED_AT):
            if stranger.is_waiting:
                self._note("idle", self._open[stranger] or "")
                self.leave(stranger)
                stranger.abort()
                return True
        return False

    def _note(self, reason: str, address: str) -> None:
        self._closed.labels(reason).inc()
        self._report.add(reason, address)


_WORDS = {
    "address": "new ones past the limit of one address",
    "all": "new ones with all places taken",
    "idle": "idle ones without a key, to make room",
}


class _Report:
    """One line of the log a minute at most, however many connections are closed."""

    def __init__(self) -> None:
        self._reasons: Counter[str] = Counter()
        self._addresses: Counter[str] = Counter()
        self._next = 0.0

    def add(self, reason: str, address: str) -> None:
        self._reasons[reason] += 1
        if len(self._addresses) < 1000 or address in self._addresses:
            self._addresses[address] += 1
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _LOG_SECONDS
        ((most, times),) = self._addresses.most_common(1) or (("", 0),)
        reasons = ", ".join(f"{count} {_WORDS[one]}" for one, count in self._reasons.items())
        log.warning(
            "%d connections were closed, because too many are open: %s; %d of them from %s",
            self._reasons.total(),
            reasons,
            times,
            most,
        )
        self._reasons.clear()
        self._addresses.clear()
