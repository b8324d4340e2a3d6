from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from hokusai.auth import KeyStore
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
