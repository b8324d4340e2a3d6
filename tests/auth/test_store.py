from __future__ import annotations

import asyncio
from datetime import UTC, timedelta, timezone

import pytest
import sqlalchemy as sa

from hokusai import errors
from hokusai.auth import KeyStore, create_operator_key, tables
from hokusai.auth.keys import Grant, now, parse, parse_network
from hokusai.database import Database
from hokusai.identity import PERMISSION_SETS, RESERVED_WORKSPACES
from tests.auth.conftest import issue
from tests.auth.service import PEPPER


async def test_a_record_comes_back_as_it_was_written(store: KeyStore) -> None:
    record, key = await issue(
        store,
        "acme",
        "admin",
        name="Ada's laptop ☕",
        user_id="ada@example.org",
        service_id="billing",
        environment="test",
        rate_limit_per_hour=2**31 - 1,
        allow_ips=(parse_network("192.0.2.0/24"), parse_network("2001:db8::/32")),
        expires_at=now() + timedelta(days=9),
    )
    assert await store.get(record.id) == record
    found = await store.find(store.digest(key))
    assert found is not None
    assert found.record == record
    assert (record.hint, record.created_by) == (key.text[:12], "test")
    assert record.created_at.tzinfo is not None
    assert record.created_at.utcoffset() == timedelta()


async def test_times_are_utc_whatever_zone_they_were_given_in(store: KeyStore) -> None:
    moment = now().astimezone(timezone(timedelta(hours=5, minutes=45)))
    record, _ = await issue(store, expires_at=moment)
    stored = await store.get(record.id)
    assert stored is not None
    assert stored.expires_at == moment
    assert stored.expires_at.tzinfo is UTC


async def test_the_key_itself_is_stored_nowhere(store: KeyStore, database: Database) -> None:
    _, key = await issue(store)
    async with database.begin() as connection:
        for table in (tables.keys, tables.workspaces, tables.usage, tables.installation):
            for row in await connection.execute(sa.select(table)):
                assert key.text[12:] not in repr(row)


async def test_create_names_the_workspace_that_does_not_exist(store: KeyStore) -> None:
    with pytest.raises(errors.WorkspaceUnknown, match="nowhere"):
        await store.create(Grant(name="x", user_id="x", workspace="nowhere"), created_by="test")


async def test_a_workspace_has_a_bounded_number_of_keys_in_use(database: Database) -> None:
    store = KeyStore(database, pepper=PEPPER, max_keys=3)
    records = [(await issue(store))[0] for _ in range(3)]
    with pytest.raises(errors.KeysFull):
        await issue(store)
    with pytest.raises(errors.KeysFull):
        await store.rotate(records[0], overlap=timedelta(days=1), expires_at=None, created_by="test")
    await issue(store, "other")
    await issue(store, None)
    await store.revoke(records[0].id)
    await issue(store, expires_at=now() - timedelta(seconds=1))
    await issue(store)
    with pytest.raises(errors.KeysFull):
        await issue(store)


@pytest.mark.parametrize(
    "key_id", ["", "key_", "key_0000000000000000", "x" * 5000, "key_00000000000000\x00", "' OR 1=1 --"]
)
async def test_ids_that_nobody_has(store: KeyStore, key_id: str) -> None:
    await issue(store)
    assert await store.get(key_id) is None
    assert await store.revoke(key_id) is None


async def test_a_workspace_bounds_what_is_found(store: KeyStore) -> None:
    record, _ = await issue(store, "acme")
    platform, _ = await issue(store, None)
    for foreign in (record, platform):
        assert await store.get(foreign.id, workspace="other") is None
        assert await store.revoke(foreign.id, workspace="other") is None
    assert (await store.get(record.id)).revoked_at is None
    assert await store.get(record.id, workspace="acme") == record


async def test_pages_have_every_key_once_in_the_order_they_were_made(store: KeyStore) -> None:
    made = [(await issue(store, "acme" if number % 2 else "other"))[0] for number in range(9)]
    paged, after = [], None
    while page := await store.page(limit=2, after=after):
        paged += page
        after = page[-1]
    assert paged == made
    assert await store.page(workspace="acme", limit=100) == made[1::2]
    assert await store.page(workspace="acme", limit=100, after=made[3]) == made[5::2]


async def test_revoking_twice_keeps_the_first_time(store: KeyStore) -> None:
    record, _ = await issue(store)
    first = await store.revoke(record.id)
    assert first is not None
    assert first.key.revoked_at is not None
    assert await store.revoke(record.id) == first


async def test_rotation_makes_a_key_of_equal_worth(store: KeyStore) -> None:
    end = now() + timedelta(days=9)
    record, _ = await issue(store, rate_limit_per_hour=5, environment="test", allow_ips=(parse_network("::1"),))
    made, key = await store.rotate(record, overlap=timedelta(hours=1), expires_at=end, created_by="someone")
    assert (made.rate_limit_per_hour, made.environment, made.allow_ips) == (5, "test", record.allow_ips)
    assert (made.permissions, made.workspace, made.user_id) == (record.permissions, "acme", record.user_id)
    assert (made.created_by, made.expires_at, made.rotated_to) == ("someone", end, None)
    assert key.environment == "test"
    old = await store.get(record.id)
    assert old is not None
    assert old.rotated_to == made.id
    assert timedelta(minutes=59) < old.expires_at - now() <= timedelta(hours=1)


async def test_an_overlap_does_not_lengthen_the_old_key(store: KeyStore) -> None:
    end = now() + timedelta(minutes=1)
    record, _ = await issue(store, expires_at=end)
    await store.rotate(record, overlap=timedelta(hours=24), expires_at=end, created_by="test")
    old = await store.get(record.id)
    assert old is not None
    assert old.expires_at == end


async def test_a_key_whose_time_is_over_cannot_be_rotated(store: KeyStore) -> None:
    expired, _ = await issue(store, expires_at=now() - timedelta(seconds=1))
    revoked, _ = await issue(store)
    ended = await store.revoke(revoked.id)
    assert ended is not None
    for over in (expired, ended.key):
        with pytest.raises(errors.KeyRetired, match="is (expired|revoked), so it cannot be rotated"):
            await store.rotate(over, overlap=timedelta(), expires_at=None, created_by="test")


async def test_of_concurrent_rotations_one_wins(store: KeyStore) -> None:
    record, _ = await issue(store)
    attempts = await asyncio.gather(
        *(store.rotate(record, overlap=timedelta(hours=1), expires_at=None, created_by=str(n)) for n in range(4)),
        return_exceptions=True,
    )
    won = [attempt for attempt in attempts if not isinstance(attempt, errors.KeyRetired)]
    assert len(won) == 1
    assert await store.page(limit=10) == [await store.get(record.id), won[0][0]]


async def test_a_rotation_that_lost_to_a_revocation_leaves_no_key(store: KeyStore) -> None:
    record, _ = await issue(store)
    await store.revoke(record.id)
    with pytest.raises(errors.KeyRetired):
        await store.rotate(record, overlap=timedelta(hours=1), expires_at=None, created_by="test")
    assert len(await store.page(limit=10)) == 1


async def test_watchers_hear_of_every_change(store: KeyStore) -> None:
    heard: list[bytes | None] = []
    store.watch(heard.append)
    record, key = await issue(store)
    assert heard == []
    await store.rotate(record, overlap=timedelta(hours=1), expires_at=None, created_by="test")
    await store.revoke(record.id)
    assert heard == [store.digest(key)] * 2
    await store.workspaces.suspend("acme")
    await store.workspaces.resume("acme")
    assert heard[2:] == [None, None]


async def test_the_pepper_is_noted_once_and_another_refused(store: KeyStore, database: Database) -> None:
    await store.prepare()
    for other in (b"", b"another"):
        with pytest.raises(errors.PepperChanged):
            await KeyStore(database, pepper=other).prepare()


async def test_servers_may_start_at_the_same_time(database: Database) -> None:
    stores = [KeyStore(database, pepper=pepper) for pepper in (b"", b"", b"another")]
    results = await asyncio.gather(*(store.prepare() for store in stores), return_exceptions=True)
    refused = [result for result in results if isinstance(result, errors.PepperChanged)]
    assert len(refused) in {1, 2}
    assert all(result is None or result in refused for result in results)


async def test_the_first_key_is_an_operators(store: KeyStore) -> None:
    assert await store.is_empty()
    key = parse(await create_operator_key(store, service_id="billing"))
    assert not await store.is_empty()
    found = await store.find(store.digest(key))
    assert found is not None
    assert found.record.permissions == PERMISSION_SETS["operator"]
    assert (found.record.workspace, found.record.expires_at, found.record.service_id) == (None, None, "billing")


# Workspaces


async def test_workspaces_are_created_once(store: KeyStore) -> None:
    made = await store.workspaces.create("acme")
    assert await store.workspaces.get("acme") == made
    with pytest.raises(errors.WorkspaceExists, match="acme"):
        await store.workspaces.create("acme")


@pytest.mark.parametrize(
    "name",
    ["", "a", "A1", "-a", "a-", "a_b", "a" * 64, "a/b", "..", "é1", "ab\n", "a\x00b", *sorted(RESERVED_WORKSPACES)],
)
async def test_names_that_are_none(store: KeyStore, name: str) -> None:
    with pytest.raises(errors.WorkspaceNameInvalid):
        await store.workspaces.create(name)
    assert await store.workspaces.get(name) is None
    assert await store.workspaces.suspend(name) is None


async def test_workspaces_are_paged_by_name(store: KeyStore) -> None:
    for name in ("cc", "aa", "bb"):
        await store.workspaces.create(name)
    assert [one.name for one in await store.workspaces.page(limit=2)] == ["aa", "bb"]
    assert [one.name for one in await store.workspaces.page(limit=2, after="bb")] == ["cc"]


async def test_suspending_twice_keeps_the_first_time(store: KeyStore) -> None:
    await store.workspaces.create("acme")
    first = await store.workspaces.suspend("acme")
    assert first is not None
    assert first.suspended_at is not None
    assert await store.workspaces.suspend("acme") == first
    resumed = await store.workspaces.resume("acme")
    assert resumed is not None
    assert resumed.suspended_at is None
    assert await store.workspaces.suspend("nowhere") is None
