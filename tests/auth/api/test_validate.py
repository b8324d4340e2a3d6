from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from hokusai.auth import KeyStore
from hokusai.auth.keys import Key, KeyRecord, mint, now, parse_network
from hokusai.identity import PERMISSION_SETS
from tests.auth.calling import Api, refusal
from tests.auth.conftest import issue

PATH = "/keys/validate"


@pytest.fixture
async def service(store: KeyStore) -> AsyncIterator[Api]:
    service = Api(store)
    yield service
    await service.close()


@pytest.fixture
async def gateway(store: KeyStore) -> str:
    """The key of a server that asks."""
    return (await issue(store, None, "service"))[1].text


@pytest.fixture
async def candidate(store: KeyStore) -> tuple[KeyRecord, Key]:
    return await issue(store, "acme", "write", user_id="ada", rate_limit_per_hour=9)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def refused(response: httpx2.Response) -> tuple[int, str]:
    """As ``refusal``, and it is the key under test that was refused."""
    status_and_code = refusal(response)
    ours = response.json()["hokusai"]
    assert ours["subject"] == "candidate"
    assert all(isinstance(fact, str) for fact in ours["facts"].values())
    return status_and_code


async def test_a_good_key(service: Api, gateway: str, candidate: tuple[KeyRecord, Key]) -> None:
    record, key = candidate
    expected = {
        "valid": True,
        "key_id": record.id,
        "user_id": "ada",
        "workspace": "acme",
        "service_id": "platform",
        "environment": "live",
        "permissions": sorted(PERMISSION_SETS["write"]),
        "rate_limit_per_hour": 9,
        "expires_at": None,
        "quota": {"bytes": None, "files": None, "models": None, "requests_per_hour": None},
        "protected_aliases": [],
    }
    assert await service.ok(gateway, "POST", PATH, headers=bearer(key.text)) == expected
    assert await service.ok(gateway, "POST", PATH, {"api_key": key.text}) == expected
    assert await service.ok(gateway, "POST", PATH, {"api_key": key.text}, headers=bearer(key.text)) == expected


async def test_two_different_keys(service: Api, gateway: str, candidate: tuple[KeyRecord, Key]) -> None:
    key = candidate[1].text
    response = await service.call(gateway, "POST", PATH, {"api_key": mint("live").text}, headers=bearer(key))
    assert refusal(response) == (400, "HK1107")
    twice = [
        ("X-API-Key", gateway),
        ("Authorization", f"Bearer {key}"),
        ("Authorization", f"Bearer {mint('live').text}"),
    ]
    response = await service.http.post("/api/v1" + PATH, headers=twice)
    assert refusal(response) == (400, "HK1107")


async def test_no_key(service: Api, gateway: str) -> None:
    assert refused(await service.call(gateway, "POST", PATH, {})) == (401, "HK1101")
    response = await service.call(gateway, "POST", PATH, headers={"Authorization": "Basic eDp5"})
    assert refused(response) == (401, "HK1101")


@pytest.mark.parametrize("text", ["", "x", "hk_live_" + "a" * 38, "\ud800", "x" * 10_000])
async def test_a_malformed_key(service: Api, gateway: str, text: str) -> None:
    content = ('{"api_key": "' + text.encode("unicode_escape").decode() + '"}').encode()
    headers = {"content-type": "application/json"}
    response = await service.call(gateway, "POST", PATH, content=content, headers=headers)
    assert refused(response)[0] == 401
    assert text in {"", "x"} or text not in response.text


async def test_every_reason_has_its_own_code(service: Api, store: KeyStore, gateway: str) -> None:
    revoked, revoked_key = await issue(store)
    await store.revoke(revoked.id)
    rotated, rotated_key = await issue(store)
    await store.rotate(rotated, overlap=timedelta(), expires_at=None, created_by="test")
    _, expired = await issue(store, expires_at=now() - timedelta(seconds=1))
    _, suspended = await issue(store, "other")
    await store.workspaces.suspend("other")
    _, elsewhere = await issue(store, service_id="billing")
    _, at_home = await issue(store, allow_ips=(parse_network("192.0.2.0/24"),))
    for key, expected in (
        (mint("live"), (401, "HK1103")),
        (revoked_key, (401, "HK1105")),
        (rotated_key, (401, "HK1105")),
        (expired, (401, "HK1104")),
        (suspended, (403, "HK1204")),
        (elsewhere, (403, "HK1202")),
        (at_home, (403, "HK1203")),
    ):
        response = await service.call(gateway, "POST", PATH, {"client_ip": "203.0.113.1"}, headers=bearer(key.text))
        assert refused(response) == expected
        assert key.text[12:] not in response.text


async def test_the_asker_names_service_and_address(service: Api, store: KeyStore, gateway: str) -> None:
    _, key = await issue(store, service_id="billing", allow_ips=(parse_network("192.0.2.0/24"),))
    good = {"api_key": key.text, "service_id": "billing", "client_ip": "192.0.2.1"}
    assert (await service.ok(gateway, "POST", PATH, good))["valid"] is True
    unstated = {name: value for name, value in good.items() if name != "client_ip"}
    assert refused(await service.call(gateway, "POST", PATH, unstated)) == (403, "HK1203")


async def test_a_test_key_is_for_the_asker_to_judge(service: Api, store: KeyStore, gateway: str) -> None:
    _, key = await issue(store, environment="test")
    assert (await service.ok(gateway, "POST", PATH, {"api_key": key.text}))["environment"] == "test"


async def test_a_required_permission(service: Api, gateway: str, candidate: tuple[KeyRecord, Key]) -> None:
    body = {"api_key": candidate[1].text, "required_permission": "models:write"}
    assert (await service.ok(gateway, "POST", PATH, body))["valid"] is True
    response = await service.call(gateway, "POST", PATH, body | {"required_permission": "models:delete"})
    assert refused(response) == (403, "HK1201")


@pytest.mark.parametrize(
    "body",
    [
        {"service_id": ""},
        {"service_id": 7},
        {"service_id": "x" * 65},
        {"client_ip": "localhost"},
        {"client_ip": ""},
        {"client_ip": "192.0.2.0/24"},
        {"required_permission": "everything"},
        {"required_permission": 7},
        {"api_key": 7},
        {"key": "x"},
    ],
    ids=str,
)
async def test_bad_questions(
    service: Api, gateway: str, candidate: tuple[KeyRecord, Key], body: dict[str, Any]
) -> None:
    response = await service.call(gateway, "POST", PATH, body, headers=bearer(candidate[1].text))
    assert refusal(response) == (400, "HK2005")
    assert "subject" not in response.json()["hokusai"]


# Not an oracle for strangers


@pytest.mark.parametrize("sets", ["read", "write", "admin"])
async def test_a_workspace_key_learns_nothing(
    service: Api, store: KeyStore, candidate: tuple[KeyRecord, Key], sets: str
) -> None:
    _, own = await issue(store, "acme", sets)
    answers = set()
    for text in (candidate[1].text, mint("live").text, "x", own.text):
        response = await service.call(own.text, "POST", PATH, headers=bearer(text))
        assert refusal(response) == (403, "HK1201")
        assert "subject" not in response.json()["hokusai"]
        answers.add(response.text)
    assert len(answers) == 1


async def test_a_stranger_learns_nothing(service: Api, candidate: tuple[KeyRecord, Key]) -> None:
    for own in ("", "x", mint("live").text):
        answers = set()
        for text in (candidate[1].text, mint("live").text, "x"):
            response = await service.call(own, "POST", PATH, headers=bearer(text))
            assert refusal(response)[0] == 401
            assert "subject" not in response.json()["hokusai"]
            answers.add(response.text)
        assert len(answers) == 1


async def test_the_candidate_does_not_vouch_for_its_bearer(service: Api, gateway: str) -> None:
    """A service key in ``Authorization`` alone is the key under test, and nobody asks."""
    response = await service.http.post("/api/v1" + PATH, headers=bearer(gateway))
    assert refusal(response) == (401, "HK1101")


async def test_an_answer_is_never_remembered(service: Api, database_url: str, store: KeyStore, gateway: str) -> None:
    """The asking server remembers it: two memories would add up to more than the promised 2 seconds."""
    from hokusai.database import Database
    from tests.auth.service import PEPPER

    record, key = await issue(store)
    assert (await service.call(gateway, "POST", PATH, {"api_key": key.text})).is_success
    database = Database(database_url)
    await KeyStore(database, pepper=PEPPER).revoke(record.id)
    assert refused(await service.call(gateway, "POST", PATH, {"api_key": key.text})) == (401, "HK1105")
    await database.close()
