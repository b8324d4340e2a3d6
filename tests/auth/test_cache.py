from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from hokusai import errors
from hokusai.auth.cache import Cache


class Source:
    """Answers look-ups one by one, and counts them. ``gate`` holds answers back."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.values: dict[str, str] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.fault: Exception | None = None

    def look_up(self, key: str) -> Callable[[], object]:
        async def look_up() -> str | None:
            self.asked.append(key)
            value = self.values.get(key)
            await self.gate.wait()
            if self.fault:
                raise self.fault
            return value

        return look_up


@pytest.fixture
def source() -> Source:
    return Source()


def made(**facts: float) -> Cache[str | None]:
    given = {"seconds": 60, "wait": 5, **facts}
    return Cache(is_known=lambda value: value is not None, slow=errors.DatabaseDown, **given)


@pytest.fixture
async def cache() -> AsyncIterator[Cache[str | None]]:
    cache = made()
    yield cache
    await cache.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def test_a_result_is_remembered(cache: Cache[str | None], source: Source) -> None:
    source.values["a"] = "one"
    assert cache.get("a") is None
    assert await cache.fetch("a", source.look_up("a")) == "one"
    entry = cache.get("a")
    assert entry is not None
    assert entry.value == "one"


async def test_an_unknown_key_is_remembered_too(cache: Cache[str | None], source: Source) -> None:
    assert await cache.fetch("a", source.look_up("a")) is None
    entry = cache.get("a")
    assert entry is not None
    assert entry.value is None


async def test_concurrent_misses_make_one_look_up(cache: Cache[str | None], source: Source) -> None:
    source.values["a"] = "one"
    source.gate.clear()
    waiting = [asyncio.create_task(cache.fetch("a", source.look_up("a"))) for _ in range(50)]
    await until(lambda: bool(source.asked))
    source.gate.set()
    assert await asyncio.gather(*waiting) == ["one"] * 50
    assert source.asked == ["a"]


async def test_the_look_up_survives_the_one_who_asked_first(cache: Cache[str | None], source: Source) -> None:
    source.values["a"] = "one"
    source.gate.clear()
    first = asyncio.create_task(cache.fetch("a", source.look_up("a")))
    await until(lambda: bool(source.asked))
    second = asyncio.create_task(cache.fetch("a", source.look_up("a")))
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    source.gate.set()
    assert await second == "one"
    assert source.asked == ["a"]


async def test_a_fault_is_raised_to_all_and_not_remembered(cache: Cache[str | None], source: Source) -> None:
    source.fault = errors.DatabaseDown()
    results = await asyncio.gather(*(cache.fetch("a", source.look_up("a")) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(result, errors.DatabaseDown) for result in results)
    source.fault, source.values["a"] = None, "one"
    assert await cache.fetch("a", source.look_up("a")) == "one"


async def test_nothing_is_served_past_its_time(source: Source) -> None:
    cache = made(seconds=0.05)
    source.values["a"] = "one"
    await cache.fetch("a", source.look_up("a"))
    await until(lambda: cache.get("a") is None)
    source.fault = errors.DatabaseDown()
    with pytest.raises(errors.DatabaseDown):
        await cache.fetch("a", source.look_up("a"))
    await cache.close()


async def test_time_counts_from_the_start_of_the_look_up(source: Source) -> None:
    cache = made(seconds=0.05)
    source.values["a"] = "one"
    source.gate.clear()
    first = asyncio.create_task(cache.fetch("a", source.look_up("a")))
    await until(lambda: bool(source.asked))
    await asyncio.sleep(0.06)
    source.values["a"] = "two"
    second = asyncio.create_task(cache.fetch("a", source.look_up("a")))
    await until(lambda: len(source.asked) == 2)
    source.gate.set()
    assert await first == "one"
    assert await second == "two"
    await cache.close()


async def test_what_a_slow_look_up_brings_is_old_already(source: Source) -> None:
    cache = made(seconds=0.05)
    source.values["a"] = "one"
    source.gate.clear()
    waiting = asyncio.create_task(cache.fetch("a", source.look_up("a")))
    await until(lambda: bool(source.asked))
    await asyncio.sleep(0.06)
    source.gate.set()
    assert await waiting == "one"
    assert cache.get("a") is None
    await cache.close()


async def test_zero_seconds_remember_nothing(source: Source) -> None:
    cache = made(seconds=0)
    source.values["a"] = "one"
    await cache.fetch("a", source.look_up("a"))
    assert cache.get("a") is None
    await cache.close()


async def test_strangers_cannot_push_out_good_entries(source: Source) -> None:
    cache = made(size=3)
    source.values.update({"a": "one", "b": "two"})
    for key in ("a", "b", *map(str, range(100))):
        await cache.fetch(key, source.look_up(key))
    assert cache.get("a")
    assert cache.get("b")
    assert [key for key in map(str, range(100)) if cache.get(key)] == ["97", "98", "99"]
    await cache.close()


async def test_the_least_recently_used_entry_goes_first(source: Source) -> None:
    cache = made(size=2)
    source.values.update({"a": "1", "b": "2", "c": "3"})
    for key in ("a", "b", "a", "c"):
        if cache.get(key) is None:
            await cache.fetch(key, source.look_up(key))
    assert cache.get("a")
    assert cache.get("b") is None
    assert source.asked == ["a", "b", "c"]
    await cache.close()


@pytest.mark.parametrize("forget", [lambda cache: cache.drop("a"), lambda cache: cache.clear()], ids=["drop", "clear"])
async def test_what_is_forgotten_is_looked_up_again(cache: Cache[str | None], source: Source, forget: Callable) -> None:
    source.values["a"] = "old"
    await cache.fetch("a", source.look_up("a"))
    forget(cache)
    assert cache.get("a") is None


@pytest.mark.parametrize("forget", [lambda cache: cache.drop("a"), lambda cache: cache.clear()], ids=["drop", "clear"])
async def test_a_look_up_begun_before_a_change_is_not_remembered_after_it(
    cache: Cache[str | None], source: Source, forget: Callable
) -> None:
    source.values["a"] = "old"
    source.gate.clear()
    before = asyncio.create_task(cache.fetch("a", source.look_up("a")))
    await until(lambda: bool(source.asked))
    source.values["a"] = "new"
    forget(cache)
    after = asyncio.create_task(cache.fetch("a", source.look_up("a")))
    await until(lambda: len(source.asked) == 2)
    source.gate.set()
    assert await before == "old"
    assert await after == "new"
    entry = cache.get("a")
    assert entry is not None
    assert entry.value == "new"


async def test_a_key_that_becomes_known_is_no_longer_unknown(source: Source) -> None:
    cache = made(seconds=0.05)
    await cache.fetch("a", source.look_up("a"))
    await until(lambda: cache.get("a") is None)
    source.values["a"] = "one"
    await cache.fetch("a", source.look_up("a"))
    entry = cache.get("a")
    assert entry is not None
    assert entry.value == "one"
    await cache.close()


async def test_waiting_has_an_end(source: Source) -> None:
    cache = made(wait=0.05)
    source.gate.clear()
    with pytest.raises(errors.DatabaseDown):
        await cache.fetch("a", source.look_up("a"))
    source.gate.set()
    await cache.close()


async def test_look_ups_under_way_are_bounded(source: Source) -> None:
    cache = made(max_look_ups=3)
    source.gate.clear()
    waiting = [asyncio.create_task(cache.fetch(str(n), source.look_up(str(n)))) for n in range(3)]
    await until(lambda: len(source.asked) == 3)
    with pytest.raises(errors.Busy):
        await cache.fetch("one more", source.look_up("one more"))
    source.gate.set()
    await asyncio.gather(*waiting)
    assert await cache.fetch("one more", source.look_up("one more")) is None
    await cache.close()


async def test_close_ends_what_is_under_way(source: Source) -> None:
    cache = made()
    source.gate.clear()
    waiting = asyncio.create_task(cache.fetch("a", source.look_up("a")))
    await until(lambda: bool(source.asked))
    await cache.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
