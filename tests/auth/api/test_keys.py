from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from hokusai.auth import KeyStore
from hokusai.auth.keys import mint, mint_id, now, parse, parse_network
from hokusai.database import Database
from hokusai.identity import PERMISSION_SETS, Permission
from tests.auth.calling import Api, refusal
from tests.auth.conftest import issue
from tests.auth.service import PEPPER


@pytest.fixture
async def service(store: KeyStore) -> AsyncIterator[Api]:
    service = Api(store)
    yield service
    await service.close()


@pytest.fixture
async def admin(store: KeyStore) -> str:
    """An admin key of the workspace acme."""
    return (await issue(store, "acme", "admin"))[1].text


def new(**facts: Any) -> dict[str, Any]:
    return {"name": "laptop", "permissions": ["write"], **facts}


def seconds_until(text: str) -> float:
    return (datetime.fromisoformat(text) - now()).total_seconds()


# Making keys


async def test_a_new_key_is_shown_once_and_works(service: Api, store: KeyStore, operator: str) -> None:
    await store.workspaces.create("acme")
    made = await service.ok(operator, "POST", "/keys", new(workspace="acme"))
    key = parse(made["key"])
    own = await service.ok(operator, "GET", "/keys/self")
    assert made | {"key": "", "key_id": "", "hint": "", "created_at": ""} == {
        "key": "",
        "key_id": "",
        "hint": "",
        "created_at": "",
        "name": "laptop",
        "state": "active",
        "workspace": "acme",
        "user_id": "laptop",
        "permissions": sorted(PERMISSION_SETS["write"]),
        "service_id": "platform",
        "environment": "live",
        "rate_limit_per_hour": None,
        "allow_ips": [],
        "created_by": own["key_id"],
        "expires_at": None,
        "revoked_at": None,
        "rotated_to": None,
    }
    shown = await service.ok(made["key"], "GET", "/keys/self")
    assert shown == {name: fact for name, fact in made.items() if name != "key"}
    for path in ("/keys", f"/keys/{made['key_id']}"):
        assert key.text[12:] not in (await service.call(operator, "GET", path)).text


async def test_every_fact_can_be_chosen(service: Api, store: KeyStore, operator: str) -> None:
    await store.workspaces.create("acme")
    body = new(
        workspace="acme",
        user_id="ada@example.org",
        permissions=["models:read", "runs:read", "read"],
        expires="90d",
        service_id="billing",
        environment="test",
        rate="20/s",
        allow_ips=["192.0.2.0/24", "2001:db8::1"],
    )
    made = await service.ok(operator, "POST", "/keys", body)
    assert made["key"].startswith("hk_test_")
    assert made["permissions"] == sorted(PERMISSION_SETS["read"])
    assert made["allow_ips"] == ["192.0.2.0/24", "2001:db8::1/128"]
    assert (made["rate_limit_per_hour"], made["service_id"], made["user_id"]) == (72000, "billing", "ada@example.org")
    assert 89.9 < seconds_until(made["expires_at"]) / 86400 <= 90


async def test_an_operator_makes_platform_keys(service: Api, operator: str) -> None:
    made = await service.ok(operator, "POST", "/keys", new(permissions=["operator"]))
    assert made["workspace"] is None
    assert (await service.call(made["key"], "GET", "/workspaces")).is_success


@pytest.mark.parametrize(
    "permissions",
    [["service"], ["read", "metrics:read"], ["keys:read"], ["write", "keys:write"], ["usage:read"]],
    ids=str,
)
async def test_a_platform_key_reaches_something(service: Api, operator: str, permissions: list[str]) -> None:
    assert (await service.ok(operator, "POST", "/keys", new(permissions=permissions)))["workspace"] is None


@pytest.mark.parametrize(
    "permissions", [["read"], ["write"], ["runs:write", "models:delete", "artifacts:delete"]], ids=str
)
async def test_a_platform_key_that_would_reach_nothing(
    service: Api, store: KeyStore, operator: str, permissions: list[str]
) -> None:
    response = await service.call(operator, "POST", "/keys", new(permissions=permissions))
    assert refusal(response) == (400, "HK2005")
    for word in ("workspace", "--workspace", "service", "operator"):
        assert word in response.json()["message"]
    assert len(await store.page(limit=100)) == 1


IMPOSSIBLE: list[dict[str, Any]] = [
    {"name": ""},
    {"name": "x" * 129},
    {"name": "a\nb"},
    {"name": "a\x00b"},
    {"name": "a\u202eb"},
    {"name": "a\u200bb"},
    {"name": "\ud800"},
    {"name": 7},
    {"name": None},
    {"user_id": "a\tb"},
    {"permissions": []},
    {"permissions": "write"},
    {"permissions": ["everything"]},
    {"permissions": ["\ud800"]},
    {"permissions": ["models:*"]},
    {"permissions": ["x" * 65]},
    {"permissions": ["read"] * 65},
    {"workspace": ""},
    {"workspace": "A"},
    {"workspace": "a\x00"},
    {"workspace": "../b"},
    {"workspace": 7},
    {"expires": "soon"},
    {"expires": "0d"},
    {"expires": 90},
    {"expires_at": "2001-01-01T00:00:00Z"},
    {"expires_at": "2040-01-01T00:00:00"},
    {"expires_at": 2000000000},
    {"expires": "90d", "expires_at": "2040-01-01T00:00:00Z"},
    {"service_id": "A B"},
    {"service_id": "a\n"},
    {"environment": "staging"},
    {"rate": "lots"},
    {"rate": "0/h"},
    {"rate": 1000},
    {"allow_ips": ["10.0.0.1/8"]},
    {"allow_ips": ["example.org"]},
    {"allow_ips": "10.0.0.0/8"},
    {"allow_ips": ["10.0.0.0/8"] * 65},
    {"id": "key_0000000000000000"},
    {"created_by": "someone"},
    {"key": "hk_live_mine"},
]


async def test_what_a_key_cannot_be(service: Api, operator: str) -> None:
    headers = {"content-type": "application/json"}
    for change in IMPOSSIBLE:
        content = json.dumps(new(**change)).encode()
        response = await service.call(operator, "POST", "/keys", content=content, headers=headers)
        assert refusal(response) == (400, "HK2005"), change
        assert any(name in response.json()["message"] for name in change)


async def test_a_key_for_a_workspace_that_does_not_exist(service: Api, operator: str) -> None:
    assert await service.error(operator, "POST", "/keys", new(workspace="nowhere")) == (404, "HK2001")


@pytest.mark.parametrize("permission", ["keys:validate", "usage:write", "workspaces:read", "metrics:read", "operator"])
async def test_platform_permissions_are_for_platform_keys(
    service: Api, store: KeyStore, operator: str, permission: str
) -> None:
    await store.workspaces.create("acme")
    body = new(workspace="acme", permissions=[permission])
    assert await service.error(operator, "POST", "/keys", body) == (400, "HK2005")


# No key makes a stronger one


async def test_a_workspace_key_makes_keys_of_its_workspace(service: Api, admin: str) -> None:
    made = await service.ok(admin, "POST", "/keys", new())
    assert made["workspace"] == "acme"


@pytest.mark.parametrize("asked", [{}, {"user_id": "ada"}], ids=str)
async def test_a_workspace_key_makes_keys_of_its_user(service: Api, admin: str, asked: dict[str, Any]) -> None:
    assert (await service.ok(admin, "POST", "/keys", new(**asked)))["user_id"] == "ada"


async def test_a_workspaces_key_does_not_rotate_another_users(service: Api, store: KeyStore, admin: str) -> None:
    """It would get a key that acts as that user."""
    record, key = await issue(store, "acme", "read", user_id="grace")
    before = await store.page(limit=100)
    assert await service.error(admin, "POST", f"/keys/{record.id}/rotate") == (403, "HK1207")
    assert await store.page(limit=100) == before
    assert (await service.call(key.text, "GET", "/keys/self")).is_success


async def test_a_rotated_key_stays_with_its_user(service: Api, store: KeyStore, operator: str) -> None:
    record, _ = await issue(store, "acme", "read", user_id="grace")
    assert (await service.ok(operator, "POST", f"/keys/{record.id}/rotate"))["user_id"] == "grace"


@pytest.mark.parametrize(
    "stronger",
    [
        {"permissions": PERMISSION_SETS["admin"]},
        {"rate_limit_per_hour": 11},
        {"allow_ips": (parse_network("192.0.2.0/24"),)},
        {"expires_at": now() + timedelta(days=3)},
        {"service_id": "billing"},
        {"environment": "test"},
    ],
    ids=lambda stronger: next(iter(stronger)),
)
async def test_rotation_gives_nothing_that_the_caller_could_not_make(
    service: Api, store: KeyStore, stronger: dict[str, Any]
) -> None:
    bounds = {"rate_limit_per_hour": 10, "expires_at": now() + timedelta(days=2)}
    bounds |= {"allow_ips": (parse_network("127.0.0.0/8"),), "permissions": frozenset({Permission.KEYS_WRITE})}
    _, caller = await issue(store, "acme", **bounds)
    record, _ = await issue(store, "acme", **bounds)
    assert (await service.call(caller.text, "POST", f"/keys/{record.id}/rotate")).is_success
    target, _ = await issue(store, "acme", **(bounds | stronger))
    assert await service.error(caller.text, "POST", f"/keys/{target.id}/rotate") == (403, "HK1207")
    longer = {"expires": "9d"}
    plain, _ = await issue(store, "acme", **bounds)
    assert await service.error(caller.text, "POST", f"/keys/{plain.id}/rotate", longer) == (403, "HK1207")


# Descendants


async def test_the_children_of_a_key_are_listed(service: Api, store: KeyStore, admin: str) -> None:
    own = (await service.ok(admin, "GET", "/keys/self"))["key_id"]
    made = [(await service.ok(admin, "POST", "/keys", new(name=f"child {n}")))["key_id"] for n in range(3)]
    await issue(store, "acme")
    page = await service.ok(admin, "GET", f"/keys?created_by={own}&limit=2")
    rest = await service.ok(admin, "GET", f"/keys?created_by={own}&page_token={page['next_page_token']}")
    assert [one["key_id"] for one in page["keys"] + rest["keys"]] == made
    assert {one["created_by"] for one in page["keys"]} == {own}
    assert (await service.ok(admin, "GET", f"/keys?created_by={made[0]}"))["keys"] == []
    other = (await issue(store, "other", "admin"))[1].text
    assert (await service.ok(other, "GET", f"/keys?created_by={own}"))["keys"] == []


async def test_revocation_says_which_descendants_still_work(service: Api, store: KeyStore, operator: str) -> None:
    parent, key = await issue(store, "acme", "admin")
    child = await service.ok(key.text, "POST", "/keys", new(name="child", permissions=["admin"]))
    grandchild = await service.ok(child["key"], "POST", "/keys", new(name="grandchild"))
    revoked = await service.ok(operator, "DELETE", f"/keys/{parent.id}")
    assert [one["key_id"] for one in revoked["still_active"]] == [child["key_id"], grandchild["key_id"]]
    assert (revoked["state"], revoked["still_active_count"], revoked["also_revoked"]) == ("revoked", 2, [])
    assert (await service.call(grandchild["key"], "GET", "/keys/self")).is_success
    all_of_them = await service.ok(operator, "DELETE", f"/keys/{parent.id}?with_descendants=true")
    assert [one["key_id"] for one in all_of_them["also_revoked"]] == [child["key_id"], grandchild["key_id"]]
    assert all_of_them["revoked_at"] == revoked["revoked_at"]
    for one in (child, grandchild):
        assert await service.error(one["key"], "GET", "/keys/self") == (401, "HK1105")
    assert (await service.ok(operator, "DELETE", f"/keys/{parent.id}?with_descendants=true"))["also_revoked"] == []


async def test_a_query_of_revocation_that_is_not_known_is_refused(service: Api, store: KeyStore, operator: str) -> None:
    record, key = await issue(store)
    for query in ("with_descendents=true", "with_descendants=maybe"):
        assert await service.error(operator, "DELETE", f"/keys/{record.id}?{query}") == (400, "HK2005")
    assert (await service.call(key.text, "GET", "/keys/self")).is_success


# Keys at hand


async def test_a_key_is_found_by_its_text(service: Api, store: KeyStore, operator: str, admin: str) -> None:
    record, key = await issue(store, "acme")
    for caller in (operator, admin):
        response = await service.call(caller, "POST", "/keys/find", {"key": f" {key.text}\n"})
        assert response.json()["key_id"] == record.id
        assert key.text not in response.text
    await store.revoke(record.id)
    assert (await service.ok(admin, "POST", "/keys/find", {"key": key.text}))["state"] == "revoked"


async def test_a_text_that_is_not_a_key_of_here(service: Api, store: KeyStore, operator: str, admin: str) -> None:
    other = (await issue(store, "other"))[1].text
    response = await service.call(admin, "POST", "/keys/find", {"key": other})
    assert refusal(response) == (404, "HK2071")
    unknown = await service.call(admin, "POST", "/keys/find", {"key": mint("live").text})
    assert response.json() == unknown.json()
    for text in ("", "hk_live_mistyped", other[:-1] + "0", "key_0000000000000000", "x" * 100_000):
        refused = await service.call(operator, "POST", "/keys/find", {"key": text})
        assert refusal(refused) == (400, "HK2005")
        assert other[12:-1] not in refused.text
    writer = (await issue(store, "acme"))[1].text
    assert await service.error(writer, "POST", "/keys/find", {"key": other}) == (403, "HK1201")


async def test_a_platform_key_that_makes_keys_makes_no_operator(service: Api, store: KeyStore, operator: str) -> None:
    first = (await service.ok(operator, "GET", "/keys/self"))["key_id"]
    issuer = (await service.ok(operator, "POST", "/keys", new(permissions=["keys:write"])))["key"]
    await store.workspaces.create("acme")
    before = await store.page(limit=100)
    for permissions in (["operator"], ["service"], ["keys:read", "keys:write"]):
        assert await service.error(issuer, "POST", "/keys", new(permissions=permissions)) == (403, "HK1207")
    assert await service.error(issuer, "POST", "/keys", new(workspace="acme")) == (403, "HK1207")
    assert await service.error(issuer, "POST", f"/keys/{first}/rotate") == (403, "HK1207")
    assert await store.page(limit=100) == before


async def test_the_bounds_of_a_platform_key_are_passed_on(service: Api, store: KeyStore) -> None:
    bounds = {"rate_limit_per_hour": 10, "expires_at": now() + timedelta(days=2)}
    _, key = await issue(store, None, "operator", allow_ips=(parse_network("127.0.0.0/8"),), **bounds)
    record, _ = await issue(store, "acme", "read")
    own = await service.ok(key.text, "GET", "/keys/self")
    made = await service.ok(key.text, "POST", "/keys", new(workspace="acme", service_id="billing", environment="test"))
    for fact in ("rate_limit_per_hour", "allow_ips", "expires_at"):
        assert made[fact] == own[fact]
    assert await service.error(key.text, "POST", f"/keys/{record.id}/rotate") == (403, "HK1207")


@pytest.mark.parametrize(
    "change",
    [
        {"workspace": "other"},
        {"workspace": "nowhere"},
        {"permissions": ["operator"]},
        {"permissions": ["service"]},
        {"permissions": ["keys:validate"]},
        {"rate": "100001/h"},
        {"service_id": "billing"},
        {"environment": "test"},
        {"user_id": "operator"},
    ],
    ids=str,
)
async def test_a_workspace_key_makes_nothing_stronger(
    service: Api, store: KeyStore, admin: str, change: dict[str, Any]
) -> None:
    await store.workspaces.create("other")
    before = await store.page(limit=100)
    assert await service.error(admin, "POST", "/keys", new(**change)) == (403, "HK1207")
    assert await store.page(limit=100) == before


@pytest.fixture
async def bounded(store: KeyStore) -> str:
    """A key with every bound there is."""
    _, key = await issue(
        store,
        "acme",
        "admin",
        environment="test",
        rate_limit_per_hour=10,
        allow_ips=(parse_network("127.0.0.0/8"),),
        expires_at=now() + timedelta(days=2),
    )
    return key.text


@pytest.mark.parametrize(
    "change",
    [
        {"expires": "3d"},
        {"rate": "11/h"},
        {"environment": "live"},
        {"allow_ips": ["0.0.0.0/0"]},
        {"allow_ips": ["127.0.0.1", "192.0.2.1"]},
    ],
    ids=str,
)
async def test_bounds_cannot_be_passed(service: Api, bounded: str, change: dict[str, Any]) -> None:
    assert await service.error(bounded, "POST", "/keys", new(**change)) == (403, "HK1207")


async def test_bounds_are_passed_on(service: Api, bounded: str) -> None:
    own = await service.ok(bounded, "GET", "/keys/self")
    made = await service.ok(bounded, "POST", "/keys", new())
    for fact in ("workspace", "environment", "rate_limit_per_hour", "allow_ips", "expires_at", "service_id"):
        assert made[fact] == own[fact]


async def test_a_key_revoked_elsewhere_makes_none_although_it_is_remembered(
    service: Api, store: KeyStore, database: Database
) -> None:
    record, key = await issue(store, "acme", "admin")
    await service.ok(key.text, "GET", "/keys/self")
    await KeyStore(database, pepper=PEPPER).revoke(record.id)
    for method, path, body in (
        ("POST", "/keys", new()),
        ("POST", f"/keys/{record.id}/rotate", {}),
        ("GET", "/keys/self", None),
    ):
        assert await service.error(key.text, method, path, body) == (401, "HK1105")


# One workspace cannot see another's keys


async def test_foreign_and_unknown_ids_answer_alike(service: Api, store: KeyStore, admin: str) -> None:
    foreign, _ = await issue(store, "other", "admin")
    platform, _ = await issue(store, None, "operator")
    calls = (("GET", ""), ("DELETE", ""), ("POST", "/rotate"))
    for method, rest in calls:
        answers = set()
        for key_id in (foreign.id, platform.id, mint_id()):
            response = await service.call(admin, method, f"/keys/{key_id}{rest}")
            assert refusal(response) == (404, "HK2004")
            answers.add((response.text.replace(key_id, "…"), str(response.headers)))
        assert len(answers) == 1
    for untouched in (foreign, platform):
        assert await store.get(untouched.id) == untouched


async def test_a_workspace_key_lists_its_own_workspace(service: Api, store: KeyStore, admin: str) -> None:
    foreign, _ = await issue(store, "other")
    await issue(store, "acme")
    listed = (await service.ok(admin, "GET", "/keys"))["keys"]
    assert {key["workspace"] for key in listed} == {"acme"}
    assert len(listed) == 2
    for elsewhere in ("other", "nowhere"):
        page = await service.ok(admin, "GET", f"/keys?workspace={elsewhere}")
        assert page == {"keys": [], "next_page_token": None}
    for token in (foreign.id, mint_id()):
        assert await service.error(admin, "GET", f"/keys?page_token={token}") == (400, "HK2005")


async def test_an_operator_lists_all_or_one_workspace(service: Api, store: KeyStore, operator: str) -> None:
    for workspace in ("acme", "other", "acme"):
        await issue(store, workspace)
    everything = await service.ok(operator, "GET", "/keys")
    assert [key["workspace"] for key in everything["keys"]] == [None, "acme", "other", "acme"]
    one = await service.ok(operator, "GET", "/keys?workspace=acme")
    assert [key["workspace"] for key in one["keys"]] == ["acme", "acme"]


async def test_pages_follow_each_other(service: Api, store: KeyStore, operator: str) -> None:
    made = [(await issue(store, "acme"))[0].id for _ in range(5)]
    listed, token = [], ""
    while token is not None:
        page = await service.ok(operator, "GET", f"/keys?workspace=acme&limit=2{token and f'&page_token={token}'}")
        assert len(page["keys"]) <= 2
        listed += [key["key_id"] for key in page["keys"]]
        token = page["next_page_token"]
    assert listed == made


# Rotating and revoking


async def test_rotation(service: Api, store: KeyStore, admin: str) -> None:
    record, old = await issue(store, "acme", "read")
    made = await service.ok(admin, "POST", f"/keys/{record.id}/rotate", {"overlap": "2h"})
    assert made["permissions"] == sorted(PERMISSION_SETS["read"])
    shown = await service.ok(admin, "GET", f"/keys/{record.id}")
    assert shown["rotated_to"] == made["key_id"]
    assert 7190 < seconds_until(shown["expires_at"]) <= 7200
    for key in (old.text, made["key"]):
        assert (await service.call(key, "GET", "/keys/self")).is_success
    assert await service.error(admin, "POST", f"/keys/{record.id}/rotate") == (409, "HK2009")


async def test_rotation_without_a_body_overlaps_by_a_day(service: Api, store: KeyStore, admin: str) -> None:
    record, _ = await issue(store, "acme", "read")
    await service.ok(admin, "POST", f"/keys/{record.id}/rotate")
    shown = await service.ok(admin, "GET", f"/keys/{record.id}")
    assert 86390 < seconds_until(shown["expires_at"]) <= 86400


async def test_rotation_without_overlap_ends_the_old_key_at_once(service: Api, store: KeyStore, admin: str) -> None:
    record, old = await issue(store, "acme", "read")
    assert (await service.call(old.text, "GET", "/keys/self")).is_success
    await service.ok(admin, "POST", f"/keys/{record.id}/rotate", {"overlap": "0s"})
    assert await service.error(old.text, "GET", "/keys/self") == (401, "HK1105")
    assert (await service.ok(admin, "GET", f"/keys/{record.id}"))["state"] == "revoked"


@pytest.mark.parametrize(
    "body", [{"overlap": "long"}, {"overlap": 5}, {"expires": "0d"}, {"permissions": ["admin"]}], ids=str
)
async def test_bad_rotations(service: Api, store: KeyStore, admin: str, body: dict[str, Any]) -> None:
    record, _ = await issue(store, "acme", "read")
    assert await service.error(admin, "POST", f"/keys/{record.id}/rotate", body) == (400, "HK2005")
    assert await store.get(record.id) == record


@pytest.mark.parametrize(
    "stronger",
    [
        {"permissions": PERMISSION_SETS["admin"] | {Permission.METRICS_READ}},
        {"environment": "live"},
        {"environment": "test", "expires_at": None},
        {"environment": "test", "rate_limit_per_hour": 11},
    ],
    ids=["permissions", "environment", "expiry", "rate"],
)
async def test_rotating_a_stronger_key_gives_nobody_a_stronger_key(
    service: Api, store: KeyStore, bounded: str, stronger: dict[str, Any]
) -> None:
    record, _ = await issue(store, "acme", "read", **stronger)
    assert await service.error(bounded, "POST", f"/keys/{record.id}/rotate") == (403, "HK1207")
    assert await store.get(record.id) == record


async def test_a_key_rotates_itself_and_lives_no_longer(service: Api, store: KeyStore, bounded: str) -> None:
    own = await service.ok(bounded, "GET", "/keys/self")
    path = f"/keys/{own['key_id']}/rotate"
    assert await service.error(bounded, "POST", path, {"expires": "9d"}) == (403, "HK1207")
    made = await service.ok(bounded, "POST", path)
    assert made["expires_at"] == own["expires_at"]


async def test_an_operator_rotates_for_another_year(service: Api, store: KeyStore, operator: str) -> None:
    record, _ = await issue(store, "acme", expires_at=now() + timedelta(days=1))
    made = await service.ok(operator, "POST", f"/keys/{record.id}/rotate", {"expires": "365d"})
    assert seconds_until(made["expires_at"]) > 364 * 86400


async def test_revocation_shows_at_once(service: Api, store: KeyStore, admin: str) -> None:
    record, key = await issue(store, "acme")
    assert (await service.call(key.text, "GET", "/keys/self")).is_success
    revoked = await service.ok(admin, "DELETE", f"/keys/{record.id}")
    assert revoked["state"] == "revoked"
    assert revoked["revoked_at"] is not None
    assert await service.error(key.text, "GET", "/keys/self") == (401, "HK1105")
    assert await service.ok(admin, "DELETE", f"/keys/{record.id}") == revoked


async def test_a_full_workspace(service: Api, database: Database) -> None:
    small = KeyStore(database, pepper=PEPPER, max_keys=1)
    _, key = await issue(small, "acme", "admin")
    full = Api(small)
    assert await full.error(key.text, "POST", "/keys", new()) == (409, "HK2010")
    await full.close()
