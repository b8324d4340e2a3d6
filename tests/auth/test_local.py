from __future__ import annotations

import asyncio
import time

import pytest

from hokusai import errors
from hokusai.auth import KeyStore, LocalAuthenticator
from hokusai.auth.keys import mint
from hokusai.database import Database
from hokusai.identity import Principal
from tests.auth.conftest import Clock, issue
from tests.auth.service import PEPPER
from tests.auth.test_authenticator import HERE, refused_in_time
from tests.postgres import Postgres


async def test_revocation_shows_at_once_in_the_same_process(store: KeyStore) -> None:
    authenticator = LocalAuthenticator(store, cache_seconds=60)
    record, key = await issue(store)
    assert isinstance(await authenticator.authenticate(key.text, HERE), Principal)
    await store.revoke(record.id)
    assert isinstance(await authenticator.authenticate(key.text, HERE), errors.KeyRevoked)
    await authenticator.close()


async def test_suspension_shows_at_once_in_the_same_process(store: KeyStore) -> None:
    authenticator = LocalAuthenticator(store, cache_seconds=60)
    _, key = await issue(store, "acme")
    assert isinstance(await authenticator.authenticate(key.text, HERE), Principal)
    await store.workspaces.suspend("acme")
    assert isinstance(await authenticator.authenticate(key.text, HERE), errors.WorkspaceSuspended)
    await store.workspaces.resume("acme")
    assert isinstance(await authenticator.authenticate(key.text, HERE), Principal)
    await authenticator.close()


async def test_requests_that_race_a_revocation_are_refused_after_it(store: KeyStore) -> None:
    authenticator = LocalAuthenticator(store, cache_seconds=60)
    for _ in range(20):
        record, key = await issue(store)
        racing = [asyncio.create_task(authenticator.authenticate(key.text, HERE)) for _ in range(3)]
        await store.revoke(record.id)
        assert isinstance(await authenticator.authenticate(key.text, HERE), errors.KeyRevoked)
        await asyncio.gather(*racing)
        assert isinstance(await authenticator.authenticate(key.text, HERE), errors.KeyRevoked)
    await authenticator.close()


async def test_revocation_shows_in_another_process_within_two_seconds(
    store: KeyStore, database_url: str, clock: Clock
) -> None:
    database = Database(database_url)
    elsewhere = LocalAuthenticator(KeyStore(database, pepper=PEPPER))
    record, key = await issue(store)
    assert isinstance(await elsewhere.authenticate(key.text, HERE), Principal)
    await store.revoke(record.id)
    await refused_in_time(elsewhere, key.text, errors.KeyRevoked, clock)
    await elsewhere.close()
    await database.close()


async def test_another_pepper_knows_no_key(store: KeyStore, database: Database) -> None:
    _, key = await issue(store)
    authenticator = LocalAuthenticator(KeyStore(database, pepper=b"another"))
    assert isinstance(await authenticator.authenticate(key.text, HERE), errors.KeyUnknown)
    await authenticator.close()


@pytest.fixture
async def own(own_postgres: Postgres) -> Database:
    database = Database(own_postgres.create_database())
    await database.migrate()
    return database


async def test_an_outage_is_503_and_never_401(own_postgres: Postgres, own: Database) -> None:
    store = KeyStore(own, pepper=PEPPER)
    authenticator = LocalAuthenticator(store, cache_seconds=0.3, flush_seconds=0.05)
    await authenticator.start()
    record, key = await issue(store)
    principal = await authenticator.authenticate(key.text, HERE)
    assert isinstance(principal, Principal)

    own_postgres.stop()
    authenticator.count(principal, refused=False)
    with pytest.raises(errors.DatabaseDown) as caught:
        await authenticator.authenticate(mint("live").text, HERE)
    assert (caught.value.status, caught.value.retry_after) == (503, 5)
    with pytest.raises(errors.DatabaseDown):
        await authenticator.check()
    # What was remembered may be served, but not past its time.
    await asyncio.sleep(0.3)
    with pytest.raises(errors.DatabaseDown):
        await authenticator.authenticate(key.text, HERE)

    own_postgres.start()
    assert isinstance(await authenticator.authenticate(key.text, HERE), Principal)
    await authenticator.check()
    await authenticator.close()
    assert [one.requests for one in await store.usage.of(record.id, hours=2)] == [1]
    await own.close()


async def test_a_database_that_stands_still_is_given_up_on(own_postgres: Postgres, own: Database) -> None:
    store = KeyStore(own, pepper=PEPPER)
    authenticator = LocalAuthenticator(store, wait=0.5)
    _, key = await issue(store)
    with own_postgres.frozen():
        started = time.monotonic()
        with pytest.raises(errors.DatabaseDown):
            await authenticator.authenticate(key.text, HERE)
        assert time.monotonic() - started < 5
    assert isinstance(await authenticator.authenticate(key.text, HERE), Principal)
    await authenticator.close()
    await own.close()
