"""Keys that are revoked while their requests last. Time is virtual."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hokusai import errors
from hokusai.gateway.key_watch import SECONDS, KeyWatch, WatchedRequest
from hokusai.identity import PERMISSION_SETS, Principal
from tests import virtual_time

GOOD = Principal("key_1", "ada", "acme", PERMISSION_SETS["write"])
Verdict = Principal | errors.HokusaiError


class Keys:
    """An authenticator that gives the verdict of the moment, and counts how often it was asked."""

    def __init__(self) -> None:
        self.verdict: Verdict = GOOD
        self.asked = 0

    async def authenticate(self, key: str, address: str) -> Principal | errors.Denied:
        self.asked += 1
        if isinstance(self.verdict, Principal | errors.Denied):
            return self.verdict
        raise self.verdict


def run(story: Callable[[Keys, KeyWatch], Awaitable[Any]]) -> Any:
    async def play() -> Any:
        keys = Keys()
        watch = KeyWatch(keys)
        try:
            return await story(keys, watch)
        finally:
            assert not watch._watched, "a key is watched without a request"
            await asyncio.sleep(2 * SECONDS)
            assert watch._timer is None
            assert asyncio.all_tasks() == {asyncio.current_task()}

    return virtual_time.run(play())


async def lasting(watch: KeyWatch, seconds: float = 60, key: str = "k") -> float:
    """A request that waits; how long it lasted, which is told also where it is refused."""
    began = asyncio.get_running_loop().time()
    try:
        with watch.request(key, "192.0.2.1"):
            await asyncio.sleep(seconds)
    except errors.Denied as refusal:
        refusal.args = (asyncio.get_running_loop().time() - began,)
        raise
    return asyncio.get_running_loop().time() - began


@pytest.mark.parametrize(
    "refusal",
    [errors.KeyRevoked(), errors.KeyExpired(expired_at="now"), errors.WorkspaceSuspended(workspace="acme")],
    ids=lambda refusal: type(refusal).__name__,
)
def test_what_would_refuse_the_key_ends_its_requests(refusal: errors.Denied) -> None:
    async def story(keys: Keys, watch: KeyWatch) -> None:
        asyncio.get_running_loop().call_later(10, setattr, keys, "verdict", refusal)
        ended = await asyncio.gather(*(lasting(watch) for _ in range(3)), return_exceptions=True)
        assert [type(one) for one in ended] == 3 * [type(refusal)]
        assert len({id(one) for one in ended}) == 3
        assert all(str(one.facts) == str(refusal.facts) for one in ended if isinstance(one, errors.Denied))
        assert all(10 <= one.args[0] <= 10 + SECONDS for one in ended if isinstance(one, errors.Denied))

    run(story)


def test_a_key_is_judged_once_for_all_its_requests_and_not_for_short_ones() -> None:
    async def story(keys: Keys, watch: KeyWatch) -> int:
        for _ in range(1000):
            await lasting(watch, 0.0001)
        assert keys.asked == 0
        await asyncio.gather(*(lasting(watch, 3) for _ in range(100)))
        return keys.asked

    assert run(story) <= 3 / SECONDS


def test_other_keys_go_on() -> None:
    async def story(keys: Keys, watch: KeyWatch) -> None:
        judge = keys.authenticate

        async def one_is_revoked(key: str, address: str) -> Principal | errors.Denied:
            return errors.KeyRevoked() if key == "bad" else await judge(key, address)

        keys.authenticate = one_is_revoked  # type: ignore[method-assign]
        bad, good = await asyncio.gather(lasting(watch, key="bad"), lasting(watch, 5), return_exceptions=True)
        assert isinstance(bad, errors.KeyRevoked)
        assert good == pytest.approx(5)

    run(story)


def test_an_outage_is_not_a_verdict_but_nothing_lands() -> None:
    async def story(keys: Keys, watch: KeyWatch) -> None:
        keys.verdict = errors.DatabaseDown()
        assert await lasting(watch, 5) == pytest.approx(5)
        with watch.request("k", "192.0.2.1") as request, pytest.raises(errors.DatabaseDown):
            await request.confirm()

    run(story)


def test_what_lands_is_judged_again_and_then_not_ended() -> None:
    async def landing(keys: Keys, request: WatchedRequest) -> str:
        await request.confirm()
        assert request.begin()
        keys.verdict = errors.KeyRevoked()
        await asyncio.sleep(5)
        return "stored"

    async def story(keys: Keys, watch: KeyWatch) -> None:
        with watch.request("k", "192.0.2.1") as request:
            assert await landing(keys, request) == "stored"
        with pytest.raises(errors.KeyRevoked), watch.request("k", "192.0.2.1") as request:
            await landing(keys, request)

    run(story)


def test_a_request_that_is_being_ended_does_not_begin_to_land() -> None:
    async def landing(request: WatchedRequest) -> None:
        request.end(errors.KeyRevoked())
        assert not request.begin()
        with pytest.raises(errors.KeyRevoked):
            await request.confirm()
        await asyncio.sleep(1)

    async def story(keys: Keys, watch: KeyWatch) -> None:
        with pytest.raises(errors.KeyRevoked), watch.request("k", "192.0.2.1") as request:
            await landing(request)

    run(story)


def test_time_outs_and_errors_of_the_request_are_its_own() -> None:
    async def story(keys: Keys, watch: KeyWatch) -> None:
        for error in (TimeoutError(), errors.BodyStalled(seconds=1), asyncio.CancelledError()):
            with pytest.raises(type(error)), watch.request("k", "192.0.2.1"):
                raise error

    run(story)
