"""The conformance suite of ``Authenticator``: a new implementation adds one constructor to ``WAYS``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from hokusai import errors
from hokusai.auth import Authenticator, KeyStore, LocalAuthenticator, RemoteAuthenticator
from hokusai.auth.keys import mint, now, parse_network
from hokusai.identity import PERMISSION_SETS, Principal
from tests.auth.conftest import Clock, issue
from tests.auth.service import serving

HERE = "127.0.0.1"


async def local(stack: contextlib.AsyncExitStack, store: KeyStore, database_url: str, **facts: Any) -> Authenticator:
    return LocalAuthenticator(store, **facts)


async def remote(stack: contextlib.AsyncExitStack, store: KeyStore, database_url: str, **facts: Any) -> Authenticator:
    _, service_key = await issue(store, None, "service")
    server = stack.enter_context(serving(database_url))
    return RemoteAuthenticator(server.url, service_key=service_key.text, **facts)


WAYS = {"local": local, "remote": remote}
Make = Callable[..., Awaitable[Authenticator]]


@pytest.fixture(params=WAYS)
async def make(request: pytest.FixtureRequest, store: KeyStore, database_url: str) -> AsyncIterator[Make]:
    async with contextlib.AsyncExitStack() as stack:

        async def made(**facts: Any) -> Authenticator:
            authenticator = await WAYS[request.param](stack, store, database_url, **facts)
            await authenticator.start()
            stack.push_async_callback(authenticator.close)
            return authenticator

        yield made


@pytest.fixture
async def authenticator(make: Make) -> Authenticator:
    return await make()


async def refused_in_time(
    authenticator: Authenticator, key: str, kind: type[errors.HokusaiError], clock: Clock
) -> None:
    """Within the 2 seconds that the contract gives."""
    assert isinstance(await authenticator.authenticate(key, HERE), (Principal, kind))
    clock.advance(2)
    assert isinstance(await authenticator.authenticate(key, HERE), kind)


async def test_a_good_key_gives_its_principal(authenticator: Authenticator, store: KeyStore) -> None:
    end = now() + timedelta(days=1)
    record, key = await issue(
        store, "acme", "admin", user_id="grace", environment="test", rate_limit_per_hour=77, expires_at=end
    )
    assert await authenticator.authenticate(key.text, HERE) == Principal(
        key_id=record.id,
        user_id="grace",
        workspace="acme",
        permissions=PERMISSION_SETS["admin"],
        service_id="platform",
        environment="test",
        rate_limit_per_hour=77,
        expires_at=end,
    )


async def test_a_platform_key_has_no_workspace(authenticator: Authenticator, store: KeyStore) -> None:
    _, key = await issue(store, None, "operator")
    answer = await authenticator.authenticate(key.text, HERE)
    assert isinstance(answer, Principal)
    assert answer.workspace is None


@pytest.mark.parametrize("text", ["", "secret", "hk_live_", "hk_live_" + "a" * 38, "é" * 46, "\x00"])
async def test_a_malformed_key(authenticator: Authenticator, text: str) -> None:
    assert isinstance(await authenticator.authenticate(text, HERE), errors.KeyMalformed)


async def test_an_unknown_key(authenticator: Authenticator) -> None:
    assert isinstance(await authenticator.authenticate(mint("live").text, HERE), errors.KeyUnknown)


async def test_an_expired_key(authenticator: Authenticator, store: KeyStore) -> None:
    _, key = await issue(store, expires_at=now() - timedelta(seconds=1))
    assert isinstance(await authenticator.authenticate(key.text, HERE), errors.KeyExpired)


async def test_a_remembered_key_expires_on_time(make: Make, store: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    authenticator = await make(cache_seconds=60)
    end = now() + timedelta(hours=1)
    _, key = await issue(store, expires_at=end)
    assert isinstance(await authenticator.authenticate(key.text, HERE), Principal)
    for module in ("key_check", "remote"):
        monkeypatch.setattr(f"hokusai.auth.{module}.now", lambda: end)
    assert isinstance(await authenticator.authenticate(key.text, HERE), errors.KeyExpired)


async def test_a_revoked_key(authenticator: Authenticator, store: KeyStore) -> None:
    record, key = await issue(store)
    await store.revoke(record.id)
    assert isinstance(await authenticator.authenticate(key.text, HERE), errors.KeyRevoked)


async def test_revocation_shows_in_time(authenticator: Authenticator, store: KeyStore, clock: Clock) -> None:
    record, key = await issue(store)
    assert isinstance(await authenticator.authenticate(key.text, HERE), Principal)
    await store.revoke(record.id)
    await refused_in_time(authenticator, key.text, errors.KeyRevoked, clock)


async def test_suspension_shows_in_time_and_ends(authenticator: Authenticator, store: KeyStore, clock: Clock) -> None:
    _, key = await issue(store, "acme")
    _, other = await issue(store, "umbrella")
    assert isinstance(await authenticator.authenticate(key.text, HERE), Principal)
    await store.workspaces.suspend("acme")
    await refused_in_time(authenticator, key.text, errors.WorkspaceSuspended, clock)
    assert isinstance(await authenticator.authenticate(other.text, HERE), Principal)
    await store.workspaces.resume("acme")
    clock.advance(2)
    assert isinstance(await authenticator.authenticate(key.text, HERE), Principal)


async def test_both_keys_work_while_a_rotation_overlaps(authenticator: Authenticator, store: KeyStore) -> None:
    record, old = await issue(store)
    assert isinstance(await authenticator.authenticate(old.text, HERE), Principal)
    made, new = await store.rotate(record, overlap=timedelta(hours=1), expires_at=None, created_by="test")
    before, after = [await authenticator.authenticate(key.text, HERE) for key in (old, new)]
    assert isinstance(before, Principal)
    assert isinstance(after, Principal)
    assert after.key_id == made.id
    assert after.permissions == before.permissions


async def test_the_old_key_is_refused_after_the_overlap(
    authenticator: Authenticator, store: KeyStore, clock: Clock
) -> None:
    record, old = await issue(store)
    assert isinstance(await authenticator.authenticate(old.text, HERE), Principal)
    await store.rotate(record, overlap=timedelta(), expires_at=None, created_by="test")
    await refused_in_time(authenticator, old.text, errors.KeyRevoked, clock)


async def test_a_key_for_another_service(authenticator: Authenticator, store: KeyStore) -> None:
    _, key = await issue(store, service_id="billing")
    answer = await authenticator.authenticate(key.text, HERE)
    assert isinstance(answer, errors.ServiceMismatch)
    assert "'billing'" in str(answer)
    assert "'platform'" in str(answer)


async def test_the_service_is_the_one_that_was_set(make: Make, store: KeyStore) -> None:
    _, key = await issue(store, service_id="billing")
    assert isinstance(await (await make(service_id="billing")).authenticate(key.text, HERE), Principal)


async def test_a_key_of_another_environment(make: Make, store: KeyStore) -> None:
    authenticator = await make(environments=frozenset({"live"}))
    _, test = await issue(store, environment="test")
    _, live = await issue(store, environment="live")
    refusal = await authenticator.authenticate(test.text, HERE)
    assert isinstance(refusal, errors.EnvironmentMismatch)
    assert "--environment live" in refusal.advice
    assert isinstance(await authenticator.authenticate(live.text, HERE), Principal)


async def test_addresses_are_judged_at_every_call(authenticator: Authenticator, store: KeyStore) -> None:
    _, key = await issue(store, allow_ips=(parse_network("192.0.2.0/24"), parse_network("2001:db8::/32")))
    for _ in range(2):
        for inside in ("192.0.2.9", "::ffff:192.0.2.9", "2001:db8::9"):
            assert isinstance(await authenticator.authenticate(key.text, inside), Principal)
        for outside in ("192.0.3.9", "2001:db9::9", "", "testclient"):
            assert isinstance(await authenticator.authenticate(key.text, outside), errors.AddressRefused)


async def test_a_refusal_is_not_shared_between_requests(authenticator: Authenticator) -> None:
    key = mint("live").text
    first, second = [await authenticator.authenticate(key, HERE) for _ in range(2)]
    assert first is not second


async def test_the_key_is_in_no_refusal(authenticator: Authenticator, store: KeyStore) -> None:
    record, key = await issue(store)
    await store.revoke(record.id)
    for text in (key.text, key.text[:-1], mint("live").text, key.text + " "):
        refusal = await authenticator.authenticate(text, HERE)
        assert isinstance(refusal, errors.HokusaiError)
        assert text[8:] not in f"{refusal!r} {refusal.advice} {refusal.facts}"


async def test_many_at_once(authenticator: Authenticator, store: KeyStore) -> None:
    keys = [(await issue(store))[1] for _ in range(10)]
    answers = await asyncio.gather(*(authenticator.authenticate(key.text, HERE) for key in keys * 20))
    assert all(isinstance(answer, Principal) for answer in answers)


async def test_what_was_counted_is_stored_on_close(make: Make, store: KeyStore) -> None:
    authenticator = await make(flush_seconds=3600)
    record, key = await issue(store)
    principal = await authenticator.authenticate(key.text, HERE)
    assert isinstance(principal, Principal)
    for number in range(10):
        authenticator.count(principal, refused=number < 3)
    await authenticator.close()
    stored = await store.usage.of(record.id, hours=2)
    assert (sum(one.requests for one in stored), sum(one.refused for one in stored)) == (10, 3)


async def test_what_was_counted_is_stored_every_few_seconds(make: Make, store: KeyStore) -> None:
    authenticator = await make(flush_seconds=0.05)
    record, key = await issue(store)
    principal = await authenticator.authenticate(key.text, HERE)
    assert isinstance(principal, Principal)
    authenticator.count(principal, refused=False)
    async with asyncio.timeout(5):
        while not await store.usage.of(record.id, hours=2):
            await asyncio.sleep(0.01)


async def test_check_passes_where_keys_can_be_judged(authenticator: Authenticator) -> None:
    await authenticator.check()
