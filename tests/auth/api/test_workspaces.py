from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from hokusai.auth import KeyStore
from hokusai.identity import Principal
from tests.auth.calling import Api
from tests.auth.conftest import issue


@pytest.fixture
async def service(store: KeyStore) -> AsyncIterator[Api]:
    service = Api(store)
    yield service
    await service.close()


async def test_create_show_and_list(service: Api, operator: str) -> None:
    made = await service.ok(operator, "POST", "/workspaces", {"name": "acme"})
    assert made["name"] == "acme"
    assert made["created_at"].endswith("Z")
    assert made["suspended_at"] is None
    assert await service.ok(operator, "GET", "/workspaces/acme") == made
    assert await service.ok(operator, "GET", "/workspaces") == {"workspaces": [made], "next_page_token": None}
    assert await service.error(operator, "POST", "/workspaces", {"name": "acme"}) == (409, "HK2002")


async def test_pages_follow_each_other(service: Api, store: KeyStore, operator: str) -> None:
    names = [f"team-{number}" for number in range(5)]
    for name in names:
        await store.workspaces.create(name)
    listed, token = [], ""
    while token is not None:
        page = await service.ok(operator, "GET", f"/workspaces?limit=2{token and f'&page_token={token}'}")
        listed += [one["name"] for one in page["workspaces"]]
        token = page["next_page_token"]
    assert listed == names


@pytest.mark.parametrize("name", ["", "A", "default", "workspaces", "a/b", "..", "a\x00b", "\u202eevil", "x" * 64])
async def test_names_that_are_none(service: Api, operator: str, name: str) -> None:
    assert await service.error(operator, "POST", "/workspaces", {"name": name}) == (400, "HK2003")


@pytest.mark.parametrize("method_and_path", ["GET {}", "POST {}/suspend", "POST {}/resume"])
@pytest.mark.parametrize("name", ["nowhere", "UPPER", "default", "%00", "x" * 300])
async def test_workspaces_that_do_not_exist(service: Api, operator: str, method_and_path: str, name: str) -> None:
    method, path = method_and_path.format(f"/workspaces/{name}").split()
    assert await service.error(operator, method, path) == (404, "HK2001")


async def test_suspending_refuses_its_keys_at_once_until_it_is_resumed(
    service: Api, store: KeyStore, operator: str
) -> None:
    _, key = await issue(store, "acme")
    assert (await service.call(key.text, "GET", "/keys/self")).is_success
    suspended = await service.ok(operator, "POST", "/workspaces/acme/suspend")
    assert suspended["suspended_at"] is not None
    assert await service.error(key.text, "GET", "/keys/self") == (403, "HK1204")
    assert (await service.ok(operator, "POST", "/workspaces/acme/resume", {}))["suspended_at"] is None
    assert (await service.call(key.text, "GET", "/keys/self")).is_success


async def test_protected_aliases_are_set_and_reach_its_keys_at_once(
    service: Api, store: KeyStore, operator: str
) -> None:
    _, key = await issue(store, "acme")

    async def protected() -> frozenset[str]:
        found = await service.authenticator.authenticate(key.text, "127.0.0.1")
        assert isinstance(found, Principal)
        return found.protected_aliases

    assert await protected() == frozenset()
    body = {"protected_aliases": ["production", "champion", "production"]}
    changed = await service.ok(operator, "PATCH", "/workspaces/acme", body)
    assert changed["protected_aliases"] == ["production", "champion"]
    assert await protected() == {"production", "champion"}
    await service.ok(operator, "PATCH", "/workspaces/acme", {"quota": {"models": 3}})
    assert await protected() == {"production", "champion"}
    cleared = await service.ok(operator, "PATCH", "/workspaces/acme", {"protected_aliases": []})
    assert (cleared["protected_aliases"], cleared["quota"]["models"]) == ([], 3)
    assert await protected() == frozenset()
    made = await service.ok(operator, "POST", "/workspaces", {"name": "beta", "protected_aliases": ["p"]})
    assert made["protected_aliases"] == ["p"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        *({"protected_aliases": [alias]} for alias in ("", "a b", "a\u200b", "größe", "x" * 256)),
        {"protected_aliases": ["a"] * 51},
    ],
    ids=lambda body: repr(body)[:40],
)
async def test_aliases_that_cannot_be_protected(service: Api, operator: str, body: dict[str, Any]) -> None:
    await service.ok(operator, "POST", "/workspaces", {"name": "acme"})
    assert await service.error(operator, "PATCH", "/workspaces/acme", body) == (400, "HK2005")


async def test_a_workspaces_own_admin_does_not_choose_them(service: Api, store: KeyStore) -> None:
    _, admin = await issue(store, "acme", "admin")
    body: dict[str, Any] = {"protected_aliases": []}
    assert await service.error(admin.text, "PATCH", "/workspaces/acme", body) == (403, "HK1201")
