"""Bodies that arrive too slowly."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from hokusai import errors
from hokusai.gateway import Body, Exchange, MinBodyRate, Route
from hokusai.gateway.exchange import EXCHANGE
from hokusai.gateway.route import Match
from tests import virtual_time

UPLOAD = Exchange("id", "127.0.0.1", Match(Route("PUT", "/x", "artifacts", body=Body.STREAM), "/x", {}))


@pytest.fixture(autouse=True)
def _time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hokusai.gateway.min_body_rate.time", virtual_time.Time)


async def reading(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body, then waits for the client to go."""
    more = True
    while more:
        message = await receive()
        scope["read"].append(message.get("body"))
        more = message.get("more_body", False)
    await receive()


def sender(*steps: tuple[float, Message]) -> Receive:
    waiting = iter(steps)

    async def receive() -> Message:
        seconds, message = next(waiting)
        await asyncio.sleep(seconds)
        return message

    return receive


async def send(_message: Message) -> None: ...


def piece(size: int, *, more: bool = True) -> Message:
    return {"type": "http.request", "body": bytes(size), "more_body": more}


GONE: Message = {"type": "http.disconnect"}


def run(*steps: tuple[float, Message], rate: float = 1000, grace: float = 0.2) -> list[Any]:
    scope: dict[str, Any] = {"read": [], EXCHANGE: UPLOAD}
    virtual_time.run(MinBodyRate(reading, rate=rate, grace=grace)(scope, sender(*steps), send))
    return scope["read"]


def test_a_body_that_drips_is_given_up() -> None:
    with pytest.raises(errors.BodyTooSlow) as caught:
        run(*((0.05, piece(1)) for _ in range(100)))
    assert caught.value.status == 408
    assert caught.value.received == 4


def test_one_that_is_fast_enough_takes_as_long_as_it_takes() -> None:
    read = run(*((0.05, piece(100)) for _ in range(10)), (0.05, piece(100, more=False)), (0, GONE))
    assert len(read) == 11


def test_what_comes_after_the_body_is_not_timed() -> None:
    assert run((0, piece(1, more=False)), (0.4, GONE)) == [bytes(1)]


def test_time_spent_elsewhere_is_not_the_clients() -> None:
    async def slow_disk(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            await asyncio.sleep(0.15)

    pieces = sender(*((0, piece(1)) for _ in range(3)), (0, piece(0, more=False)))
    virtual_time.run(MinBodyRate(slow_disk, rate=1000, grace=0.2)({EXCHANGE: UPLOAD}, pieces, send))
