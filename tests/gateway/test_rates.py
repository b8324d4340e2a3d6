"""Rates: one suite for counting in memory and in Redis, and the effects of an outage of Redis."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator

import pytest
from limits import parse
from redis.asyncio import from_url

from hokusai import errors
from hokusai.gateway import LocalRates, Rates, SharedRates
from tests import windows
from tests.redis import Redis

RATE = parse("5/day")

#: Seconds. A machine that is busy with other tests is not an outage.
PATIENCE = 10


@pytest.fixture(autouse=True)
def _window() -> None:
    windows.enough_left(windows.DAY)


@pytest.fixture(params=["local", "shared"])
async def rates(request: pytest.FixtureRequest) -> AsyncIterator[Rates]:
    if request.param == "local":
        found: Rates = LocalRates()
    else:
        found = SharedRates(request.getfixturevalue("redis").url, wait=PATIENCE)
    yield found
    await found.close()


async def used_up(rates: Rates, name: str = "a") -> int:
    """How many hits fit."""
    fits = 0
    while await rates.hit(RATE, "kind", name) is None:
        fits += 1
        assert fits <= RATE.amount
    return fits


async def test_the_rate_and_no_more(rates: Rates) -> None:
    assert await rates.full(RATE, "kind", "a") is None
    assert await used_up(rates) == 5
    wait = await rates.hit(RATE, "kind", "a")
    assert wait is not None
    assert 1 <= wait <= windows.DAY
    assert await rates.full(RATE, "kind", "a") is not None


async def test_looking_counts_nothing(rates: Rates) -> None:
    for _ in range(10):
        assert await rates.full(RATE, "kind", "a") is None
    assert await used_up(rates) == 5


async def test_names_and_kinds_are_counted_apart(rates: Rates) -> None:
    assert await used_up(rates, "a") == 5
    assert await used_up(rates, "b") == 5
    assert await rates.hit(RATE, "other", "a") is None


async def test_a_crowd_at_once(rates: Rates) -> None:
    waits = await asyncio.gather(*(rates.hit(RATE, "kind", "a") for _ in range(40)))
    assert waits.count(None) == 5


async def test_two_processes_share_one_count(redis: Redis) -> None:
    one, two = SharedRates(redis.url, wait=PATIENCE), SharedRates(redis.url, wait=PATIENCE)
    answers = [await (one, two)[turn % 2].hit(RATE, "kind", "a") for turn in range(8)]
    assert answers.count(None) == 5
    await one.close()
    await two.close()


async def test_an_outage_is_noticed_once_and_costs_no_request(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "hokusai.gateway")
    rates = SharedRates(redis.url, wait=PATIENCE, pause=0.2)
    await rates.check()
    assert await used_up(rates) == 5
    redis.stop()
    with pytest.raises(errors.RedisDown):
        await rates.check()
    assert await used_up(rates) == 5  # in this process's memory
    assert await rates.hit(RATE, "kind", "a") is not None
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    redis.start()
    await asyncio.sleep(0.25)
    assert await used_up(rates) == 5  # the new server knows nothing
    await rates.check()
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    await rates.close()


async def test_after_an_outage_no_connection_of_before_is_used(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    rate = parse("1000/day")
    rates = SharedRates(redis.url, wait=PATIENCE, pause=0.2)
    await asyncio.gather(*(rates.hit(rate, "kind", "a") for _ in range(8)))
    redis.stop()
    await rates.hit(rate, "kind", "a")
    redis.start()
    await asyncio.sleep(0.25)
    await rates.hit(rate, "kind", "a")
    caplog.clear()
    await asyncio.gather(*(rates.hit(rate, "kind", "a") for _ in range(8)))
    assert caplog.records == []
    await rates.close()


async def test_a_redis_that_stands_still_is_not_waited_for(redis: Redis) -> None:
    rates = SharedRates(redis.url, wait=0.1, pause=0.3)
    assert await rates.hit(RATE, "kind", "a") is None
    with redis.frozen():
        began = time.monotonic()
        answers = [await rates.hit(RATE, "kind", str(name)) for name in range(200)]
        assert time.monotonic() - began < 15  # not 200 time-outs
        assert set(answers) == {None}
        with pytest.raises(errors.RedisDown):
            await rates.check()
    await asyncio.sleep(0.4)
    for _ in range(60):  # more than the pool has connections: an answer that came late is nobody's
        assert await rates.hit(parse("1000/day"), "kind", "late") is None
    await answering(rates)
    await rates.close()


async def answering(rates: SharedRates) -> None:
    """Until it answers in the short time that it is given here: other tests keep the machine busy."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(errors.RedisDown):
                return await rates.check()


async def test_a_password_beside_the_url(redis: Redis) -> None:
    client = from_url(redis.url)
    await client.config_set("requirepass", "s3cret")
    try:
        for password, good in (("s3cret", True), ("wrong", False), (None, False)):
            rates = SharedRates(redis.url, password=password, wait=PATIENCE)
            if good:
                await rates.check()
            else:
                with pytest.raises(errors.RedisDown):
                    await rates.check()
            await rates.close()
    finally:
        await client.config_set("requirepass", "")
        await client.aclose()


async def test_a_redis_that_was_never_there() -> None:
    rates = SharedRates("redis://127.0.0.1:1/0")
    assert await used_up(rates) == 5
    await rates.close()
