from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from hokusai.auth import KeyStore
from hokusai.auth.keys import mint_id, now
from hokusai.auth.usage import hour_of
from tests.auth.calling import Api, refusal
from tests.auth.conftest import issue


@pytest.fixture
async def service(store: KeyStore) -> AsyncIterator[Api]:
    service = Api(store)
    yield service
    await service.close()


async def test_usage_adds_up_by_the_hour(service: Api, store: KeyStore, operator: str) -> None:
    record, _ = await issue(store)
    path = f"/usage/{record.id}"
    before = now() - timedelta(hours=1)
    await service.ok(operator, "POST", path, {})
    await service.ok(operator, "POST", path, {"requests": 10, "refused": 3})
    told = await service.ok(operator, "POST", path, {"requests": 4, "refused": 4, "hour": before.isoformat()})
    assert datetime.fromisoformat(told["hour"]) == hour_of(before)
    stats = await service.ok(operator, "GET", f"{path}/stats")
    assert (stats["key_id"], stats["requests"], stats["refused"]) == (record.id, 15, 7)
    assert [(one["requests"], one["refused"]) for one in stats["hours"]] == [(4, 4), (11, 3)]
    assert (await service.ok(operator, "GET", f"{path}/stats?hours=1"))["requests"] == 11


@pytest.mark.parametrize(
    "body",
    [
        {"requests": 0},
        {"requests": -1},
        {"requests": 1.5},
        {"requests": "1"},
        {"requests": True},
        {"requests": 10**13},
        {"requests": 1, "refused": 2},
        {"refused": -1},
        {"hour": "now"},
        {"hour": "2030-01-01T00:00:00"},
        {"hour": 5},
        {"seconds": 1},
    ],
    ids=str,
)
async def test_bad_usage(service: Api, store: KeyStore, operator: str, body: dict[str, Any]) -> None:
    record, _ = await issue(store)
    assert await service.error(operator, "POST", f"/usage/{record.id}", body) == (400, "HK2005")
    assert await store.usage.of(record.id, hours=24) == []


async def test_usage_of_a_key_that_does_not_exist(service: Api, operator: str) -> None:
    for method, rest in (("POST", ""), ("GET", "/stats")):
        assert await service.error(operator, method, f"/usage/{mint_id()}{rest}") in {(404, "HK2004"), (400, "HK2005")}
    assert await service.error(operator, "POST", f"/usage/{mint_id()}", {"requests": 1}) == (404, "HK2004")


async def test_a_workspace_key_reads_its_workspaces_usage_alone(service: Api, store: KeyStore) -> None:
    record, key = await issue(store, "acme", "admin")
    foreign, _ = await issue(store, "other")
    assert (await service.ok(key.text, "GET", f"/usage/{record.id}/stats"))["requests"] == 0
    answers = set()
    for key_id in (foreign.id, mint_id()):
        response = await service.call(key.text, "GET", f"/usage/{key_id}/stats")
        assert refusal(response) == (404, "HK2004")
        answers.add(response.text.replace(key_id, "…"))
    assert len(answers) == 1


async def test_a_workspace_key_writes_no_usage(service: Api, store: KeyStore) -> None:
    record, key = await issue(store, "acme", "admin")
    assert await service.error(key.text, "POST", f"/usage/{record.id}", {"requests": 1}) == (403, "HK1201")
