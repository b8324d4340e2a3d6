"""What the layers learn about a request, in one object."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Scope

from hokusai.gateway.route import Match, Route
from hokusai.identity import Principal

EXCHANGE = "hokusai.exchange"


@dataclass(slots=True)
class Exchange:
    """A request and its outcome. ``Audit`` creates it, and each layer adds what it learns.

    ``values`` are its parameters, once ``Forward`` has read them; ``forwarded`` says that it was sent on to an app.
    ``received`` and ``sent`` are bytes of bodies, ``answer`` the beginning of the answer where its route declares
    something in it. ``refused_key_id`` is the key that was known and refused.
    """

    request_id: str
    address: str
    match: Match | None
    #: The one key of the request, and whether it was good from this address lately.
    key: str | None = field(default=None, repr=False)
    is_known: bool = False
    principal: Principal | None = None
    status: int = 0
    code: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    forwarded: bool = False
    received: int = 0
    sent: int = 0
    answer: bytearray | None = None
    refused_key_id: str | None = None
    started: float = field(default_factory=time.perf_counter)
    #: Records that the change begins, before it is sent on. None: the route changes nothing, or its app records it.
    begin: Callable[[], Awaitable[None]] | None = field(default=None, repr=False)
    has_begun: bool = False

    @property
    def route(self) -> Route | None:
        """The listed route of the request; None where there is none."""
        return self.match.route if self.match else None

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started


def exchange_of(scope: Scope) -> Exchange:
    found: Exchange = scope[EXCHANGE]
    return found


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of that lower-case name."""
    return next((value for key, value in scope["headers"] if key == name), None)


def headers(scope: Scope, name: bytes) -> list[bytes]:
    """All headers of that lower-case name."""
    return [value for key, value in scope["headers"] if key == name]


def raw_path(scope: Scope) -> str:
    """The path as it came over the wire, without the query. Never decoded."""
    raw: Any = scope.get("raw_path") or scope["path"].encode()
    return bytes(raw).split(b"?", 1)[0].decode("latin-1")
