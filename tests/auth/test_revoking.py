"""What revocation takes along, and what it leaves: descendants, and the last operator key. On both databases."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hokusai import errors
from hokusai.auth import KeyStore, create_operator_key
from hokusai.auth.keys import Grant, Key, KeyRecord, now
from hokusai.database import Database
from hokusai.identity import PERMISSION_SETS, Permission
from tests.auth.conftest import issue
from tests.auth.service import PEPPER


async def made_by(store: KeyStore, maker: KeyRecord, name: str = "child", **facts: Any) -> tuple[KeyRecord, Key]:
    grant = Grant(**{"name": name, "user_id": "ada", "workspace": "acme", "permissions": maker.permissions, **facts})
    return await store.create(grant, created_by=maker.id)


async def works(store: KeyStore, *keys: Key) -> list[bool]:
    found = [await store.find(store.digest(key)) for key in keys]
    return [one is not None and one.record.state(now()) == "active" for one in found]


# Descendants


async def test_all_generations_are_revoked_and_nothing_else(store: KeyStore) -> None:
    root, root_key = await issue(store, "acme", "admin")
    child, child_key = await made_by(store, root)
    gone, gone_key = await made_by(store, root)
    _, grandchild_key = await made_by(store, child)
    _, of_a_revoked_one = await made_by(store, gone)
    _, brother_key = await issue(store, "acme", "admin")
    await store.revoke(gone.id)
    found = await store.revoke(child.id, with_descendants=True)
    assert found is not None
    assert len(found.also_revoked) == 1
    assert await works(store, root_key, child_key, grandchild_key) == [True, False, False]
    found = await store.revoke(root.id, with_descendants=True)
    assert found is not None
    assert [one.id for one in found.also_revoked] != []
    assert await works(store, root_key, gone_key, of_a_revoked_one, brother_key) == [False, False, False, True]


async def test_a_key_that_rotated_itself_has_made_its_successor(store: KeyStore) -> None:
    """Whoever stole it holds that as well; a successor that another key has made stays."""
    stolen, _ = await issue(store, "acme", "admin")
    boss, _ = await issue(store, "acme", "admin")
    _, by_itself = await store.rotate(stolen, overlap=timedelta(days=1), expires_at=None, created_by=stolen.id)
    await store.revoke(stolen.id, with_descendants=True)
    assert await works(store, by_itself) == [False]
    other, _ = await issue(store, "acme", "admin")
    _, by_boss = await store.rotate(other, overlap=timedelta(days=1), expires_at=None, created_by=boss.id)
    await store.revoke(other.id, with_descendants=True)
    assert await works(store, by_boss) == [True]


async def test_more_descendants_than_one_statement_names(store: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hokusai.auth.descendants._AT_ONCE", 3)
    root, _ = await issue(store, "acme", "admin")
    children = [await made_by(store, root) for _ in range(7)]
    grandchildren = [await made_by(store, child) for child, _ in children]
    found = await store.revoke(root.id, with_descendants=True)
    assert found is not None
    assert len(found.also_revoked) == 14
    assert not any(await works(store, *(key for _, key in children + grandchildren)))


async def test_a_key_that_has_ended_makes_nothing(store: KeyStore) -> None:
    revoked, _ = await issue(store, "acme", "admin")
    await store.revoke(revoked.id)
    expired, _ = await issue(store, "acme", "admin", expires_at=now() - timedelta(seconds=1))
    before = await store.page(limit=100)
    for maker in (revoked, expired):
        with pytest.raises(errors.KeyRevoked):
            await made_by(store, maker)
    assert await store.page(limit=100) == before


async def test_no_child_survives_that_was_made_during_the_revocation(store: KeyStore, database_url: str) -> None:
    """Another server makes keys with the key while this one revokes it, with all it has made."""
    elsewhere = Database(database_url)
    other = KeyStore(elsewhere, pepper=PEPPER)
    for _ in range(5):
        root, _ = await issue(store, "acme", "admin")
        attempts = [made_by(other, root) for _ in range(4)]
        children, _ = await asyncio.gather(
            asyncio.gather(*attempts, return_exceptions=True), store.revoke(root.id, with_descendants=True)
        )
        made = [one[1] for one in children if isinstance(one, tuple)]
        assert all(isinstance(one, tuple | errors.KeyRevoked) for one in children), children
        assert not any(await works(store, *made))
    await elsewhere.close()


# The last operator key


async def operators(store: KeyStore, count: int, **facts: Any) -> list[KeyRecord]:
    facts = {"name": "op", "user_id": "op", "permissions": PERMISSION_SETS["operator"], **facts}
    return [(await store.create(Grant(**facts), created_by="setup"))[0] for _ in range(count)]


async def left(store: KeyStore) -> int:
    return sum(one.state(now()) == "active" and one.workspace is None for one in await store.page(limit=100))


async def test_the_last_operator_key_is_not_revoked_without_a_word(store: KeyStore) -> None:
    first, second = await operators(store, 2)
    assert await store.revoke(first.id) is not None
    with pytest.raises(errors.LastOperatorKey) as refused:
        await store.revoke(second.id)
    assert second.id in str(refused.value)
    assert "--yes-lock-me-out" in refused.value.advice
    assert await left(store) == 1
    found = await store.revoke(second.id, lock_out=True)
    assert found is not None
    assert await left(store) == 0
    assert await store.revoke(second.id) is not None  # it is revoked already


LESSER: dict[str, dict[str, Any]] = {
    "expired": {"expires_at": now() - timedelta(days=1)},
    "unable to make keys": {"permissions": PERMISSION_SETS["operator"] - {Permission.KEYS_WRITE}},
    "able to do less": {"permissions": frozenset({Permission.KEYS_WRITE, Permission.KEYS_READ})},
    "for another service": {"service_id": "billing"},
    "for another environment": {"environment": "test"},
}


@pytest.mark.parametrize("lesser", LESSER.values(), ids=LESSER)
async def test_a_lesser_key_does_not_take_its_place(store: KeyStore, lesser: dict[str, Any]) -> None:
    (only,) = await operators(store, 1)
    await operators(store, 1, **lesser)
    await issue(store, "acme", "admin")
    with pytest.raises(errors.LastOperatorKey):
        await store.revoke(only.id)


async def test_keys_of_workspaces_and_lesser_platform_keys_are_revoked_as_ever(store: KeyStore) -> None:
    (only,) = await operators(store, 1)
    (service,) = await operators(store, 1, permissions=PERMISSION_SETS["service"])
    (issuer,) = await operators(store, 1, permissions=frozenset({Permission.KEYS_WRITE}))
    tenant, _ = await issue(store, "acme", "admin")
    for one in (service, issuer, tenant):
        assert await store.revoke(one.id) is not None
    assert await left(store) == 1
    assert only.workspace is None


async def test_it_does_not_go_with_its_maker(store: KeyStore) -> None:
    (first,) = await operators(store, 1)
    facts = {"name": "op", "user_id": "op", "permissions": PERMISSION_SETS["operator"]}
    await store.create(Grant(**facts), created_by=first.id)
    with pytest.raises(errors.LastOperatorKey):
        await store.revoke(first.id, with_descendants=True)
    assert await left(store) == 2
    assert await store.revoke(first.id) is not None


async def test_it_is_rotated_but_not_into_one_that_ends_earlier(store: KeyStore) -> None:
    (only,) = await operators(store, 1)
    soon = now() + timedelta(seconds=1)
    with pytest.raises(errors.LastOperatorKey):
        await store.rotate(only, overlap=timedelta(), expires_at=soon, created_by=only.id)
    assert await left(store) == 1
    made, _ = await store.rotate(only, overlap=timedelta(days=1), expires_at=None, created_by=only.id)
    assert await left(store) == 2
    with pytest.raises(errors.LastOperatorKey):  # the other one is in its overlap
        await store.revoke(made.id)
    short, _ = await store.rotate(made, overlap=timedelta(), expires_at=soon, created_by=made.id, lock_out=True)
    assert short.expires_at == soon


async def test_of_two_that_are_ended_at_once_one_stays(store: KeyStore, database_url: str) -> None:
    """On two servers, each of which sees that there is another one."""
    elsewhere = Database(database_url)
    other = KeyStore(elsewhere, pepper=PEPPER)
    for _ in range(5):
        first, second = await operators(store, 2)
        ended = await asyncio.gather(store.revoke(first.id), other.revoke(second.id), return_exceptions=True)
        assert sorted(type(one).__name__ for one in ended) == ["LastOperatorKey", "Revocation"]
        assert await left(store) == 1
        (last,) = [one for one in await store.page(limit=100) if one.state(now()) == "active"]
        await store.revoke(last.id, lock_out=True)
    await elsewhere.close()


async def test_a_key_of_setup_counts_like_any_other(store: KeyStore) -> None:
    await create_operator_key(store)
    (made,) = await operators(store, 1)
    (first, _) = await store.page(limit=100)
    assert await store.revoke(first.id) is not None
    with pytest.raises(errors.LastOperatorKey):
        await store.revoke(made.id)


async def test_newer_permissions_are_kept_where_older_code_does_not_look(store: KeyStore, database: Database) -> None:
    from hokusai.auth import tables

    record, key = await issue(store, "acme", "admin")
    (row,) = await database.rows(tables.keys.select().where(tables.keys.c.id == record.id))
    assert (Permission.MODELS_PROMOTE in row.permissions, row.further_permissions) == (False, "models:promote")
    found = await store.find(store.digest(key))
    assert found is not None
    assert found.principal.permissions == PERMISSION_SETS["admin"]


async def test_admins_and_operators_from_before_have_the_new_permission(tmp_path: Path) -> None:
    """Otherwise they could not make another admin or operator."""
    database = Database(f"sqlite:///{tmp_path / 'old.db'}")
    await database.migrate("0003")
    older = frozenset(Permission) - {Permission.MODELS_PROMOTE}
    held = {"operator": older, "admin": PERMISSION_SETS["admin"] & older, "write": PERMISSION_SETS["write"]}
    async with database.begin() as connection:
        for number, (name, permissions) in enumerate(held.items()):
            row = {
                "id": f"key_{number:016}",
                "digest": bytes([number]),
                "name": name,
                "user_id": "u",
                "hint": "hk_live_",
            }
            row |= {"permissions": " ".join(sorted(permissions)), "service_id": "platform", "environment": "live"}
            row |= {"allow_ips": "", "created_at": now().isoformat(), "created_by": "setup"}
            columns = ", ".join(row)
            await connection.exec_driver_sql(
                f"INSERT INTO hokusai_keys ({columns}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
            )
    await database.migrate()
    found = {one.name: one.permissions for one in await KeyStore(database, pepper=PEPPER).page(limit=9)}
    assert found == {name: PERMISSION_SETS[name] for name in held}
    await database.close()


async def test_a_permission_that_only_newer_code_knows_allows_nothing(store: KeyStore, database: Database) -> None:
    from hokusai.auth import tables

    record, _ = await issue(store, "acme", "read")
    async with database.begin() as connection:
        await connection.execute(tables.keys.update().values(permissions="runs:read models:teleport"))
    found = await store.get(record.id)
    assert found is not None
    assert found.permissions == {Permission.RUNS_READ}
