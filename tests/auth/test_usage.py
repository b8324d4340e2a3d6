from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta

import pytest

from hokusai import errors
from hokusai.auth import KeyStore
from hokusai.auth.keys import now
from hokusai.auth.usage import Usage, UsageCounter, hour_of

HOUR = hour_of(now())


class Sink:
    """Takes what is sent, unless ``fault`` is set."""

    def __init__(self) -> None:
        self.taken: list[Usage] = []
        self.fault: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def send(self, counted: Sequence[Usage]) -> None:
        await self.gate.wait()
        if self.fault:
            raise self.fault
        self.taken += counted

    @property
    def total(self) -> tuple[int, int]:
        return sum(one.requests for one in self.taken), sum(one.refused for one in self.taken)


@pytest.fixture
def sink() -> Sink:
    return Sink()


async def test_requests_and_refusals_are_counted_by_key(sink: Sink) -> None:
    counter = UsageCounter(sink.send, seconds=3600)
    for number in range(10):
        counter.count("a", refused=number < 2)
    counter.count("b", refused=False)
    await counter.flush()
    assert sorted((one.key_id, one.requests, one.refused) for one in sink.taken) == [("a", 10, 2), ("b", 1, 0)]
    await counter.flush()
    assert sink.total == (11, 2)


async def test_nothing_is_lost_by_a_failure(sink: Sink) -> None:
    counter = UsageCounter(sink.send, seconds=3600)
    counter.count("a", refused=True)
    sink.fault = errors.DatabaseDown()
    for _ in range(3):
        with pytest.raises(errors.DatabaseDown):
            await counter.flush()
        counter.count("a", refused=False)
    sink.fault = None
    await counter.flush()
    assert sink.total == (4, 1)


async def test_what_was_taken_before_a_failure_is_not_sent_again() -> None:
    taken: list[str] = []

    async def send(counted: Sequence[Usage]) -> None:
        if len(taken) == 2:
            raise errors.DatabaseDown
        taken.append(counted[0].key_id)

    counter = UsageCounter(send, seconds=3600, batch=1)
    for key_id in "abcd":
        counter.count(key_id, refused=False)
    with pytest.raises(errors.DatabaseDown):
        await counter.flush()
    taken.append("mark")
    await counter.flush()
    assert taken == ["a", "b", "mark", "c", "d"]


async def test_the_task_flushes_until_close(sink: Sink) -> None:
    counter = UsageCounter(sink.send, seconds=0.01)
    await counter.start()
    counter.count("a", refused=False)
    async with asyncio.timeout(5):
        while not sink.taken:
            await asyncio.sleep(0)
    counter.count("a", refused=False)
    await counter.close()
    assert sink.total == (2, 0)


async def test_what_is_counted_during_the_last_flush_but_one_is_sent_too(sink: Sink) -> None:
    counter = UsageCounter(sink.send, seconds=0.01)
    await counter.start()
    sink.gate.clear()
    counter.count("a", refused=False)
    await asyncio.sleep(0.05)
    counter.count("a", refused=False)
    closing = asyncio.create_task(counter.close())
    await asyncio.sleep(0)
    sink.gate.set()
    await closing
    assert sink.total == (2, 0)


async def test_the_task_survives_faults_of_any_kind(sink: Sink, caplog: pytest.LogCaptureFixture) -> None:
    counter = UsageCounter(sink.send, seconds=0.01)
    sink.fault = RuntimeError("unforeseen")
    await counter.start()
    counter.count("a", refused=False)
    async with asyncio.timeout(5):
        while "unforeseen" not in caplog.text:
            await asyncio.sleep(0)
    sink.fault = None
    await counter.close()
    assert sink.total == (1, 0)


async def test_close_has_an_end_and_tells_what_was_lost(sink: Sink, caplog: pytest.LogCaptureFixture) -> None:
    counter = UsageCounter(sink.send, seconds=3600)
    await counter.start()
    sink.gate.clear()
    counter.count("a", refused=False)
    with caplog.at_level(logging.ERROR):
        await counter.close(seconds=0.05)
    assert "1 requests could not be stored" in caplog.text


async def test_memory_is_bounded_by_the_keys(sink: Sink) -> None:
    counter = UsageCounter(sink.send, seconds=3600, size=10)
    sink.fault = errors.DatabaseDown()
    for hour in range(100):  # as if a database were read-only for days
        counter._add((f"key{hour % 5}", hour), [1, 1])
        counter._add((f"key{hour % 5}", hour), [1, 0])
    assert len(counter._counts) <= 10
    sink.fault = None
    await counter.flush()
    assert sink.total == (200, 100)


@pytest.fixture
def within_the_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a run that begins at five to eight asks for another hour than it counted in."""
    monkeypatch.setattr("hokusai.auth.usage.now", lambda: HOUR + timedelta(minutes=30))


@pytest.mark.usefixtures("within_the_hour")
async def test_stored_usage_adds_up(store: KeyStore) -> None:
    rows = [Usage("a", HOUR, 2, 1), Usage("b", HOUR, 5, 0), Usage("a", HOUR - timedelta(hours=1), 7, 7)]
    await store.usage.add(rows)
    await store.usage.add(rows)
    assert await store.usage.of("a", hours=2) == [Usage("a", HOUR - timedelta(hours=1), 14, 14), Usage("a", HOUR, 4, 2)]
    assert await store.usage.of("a", hours=1) == [Usage("a", HOUR, 4, 2)]
    assert await store.usage.of("c", hours=24) == []


@pytest.mark.usefixtures("within_the_hour")
async def test_servers_add_at_the_same_time(store: KeyStore) -> None:
    rows = [Usage(key_id, HOUR, 1, 1) for key_id in "abcdefgh"]
    await asyncio.gather(*(store.usage.add(rows if turn % 2 else rows[::-1]) for turn in range(20)))
    for key_id in "abcdefgh":
        assert await store.usage.of(key_id, hours=1) == [Usage(key_id, HOUR, 20, 20)]
