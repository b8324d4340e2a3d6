"""What holds for every route of the auth service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa

from hokusai import errors
from hokusai.auth import KeyStore, create_operator_key
from hokusai.auth.keys import Grant, mint, parse
from hokusai.database import Database
from hokusai.identity import Permission
from tests.auth.calling import Api, refusal
from tests.auth.service import PEPPER
from tests.postgres import Postgres

ID = "key_0000000000000000"
P = Permission

#: method, path in the document, path to call, permission, a good body
ROUTES = [
    ("GET", "/keys", "/keys", P.KEYS_READ, None),
    ("POST", "/keys", "/keys", P.KEYS_WRITE, {"name": "n", "permissions": ["keys:write"]}),
    ("POST", "/keys/find", "/keys/find", P.KEYS_READ, {"key": mint("live").text}),
    ("GET", "/keys/self", "/keys/self", None, None),
    ("POST", "/keys/validate", "/keys/validate", P.KEYS_VALIDATE, {"api_key": "hk_live_"}),
    ("GET", "/keys/{key_id}", f"/keys/{ID}", P.KEYS_READ, None),
    ("DELETE", "/keys/{key_id}", f"/keys/{ID}", P.KEYS_WRITE, None),
    ("POST", "/keys/{key_id}/rotate", f"/keys/{ID}/rotate", P.KEYS_WRITE, {}),
    ("GET", "/workspaces", "/workspaces", P.WORKSPACES_READ, None),
    ("POST", "/workspaces", "/workspaces", P.WORKSPACES_WRITE, {"name": "acme"}),
    ("GET", "/workspaces/{workspace}", "/workspaces/acme", P.WORKSPACES_READ, None),
    ("PATCH", "/workspaces/{workspace}", "/workspaces/acme", P.WORKSPACES_WRITE, {"quota": {}}),
    ("DELETE", "/workspaces/{workspace}", "/workspaces/beta", P.WORKSPACES_WRITE, None),
    ("POST", "/workspaces/{workspace}/suspend", "/workspaces/acme/suspend", P.WORKSPACES_WRITE, {}),
    ("POST", "/workspaces/{workspace}/resume", "/workspaces/acme/resume", P.WORKSPACES_WRITE, {}),
    ("POST", "/usage/{key_id}", f"/usage/{ID}", P.USAGE_WRITE, {"requests": 1}),
    ("GET", "/usage/{key_id}/stats", f"/usage/{ID}/stats", P.USAGE_READ, None),
    ("GET", "/audit", "/audit", P.KEYS_READ, None),
]
CALLS = [
    pytest.param(method, path, permission, body, id=f"{method} {name}")
    for method, name, path, permission, body in ROUTES
]
WITH_BODY = [(method, path) for method, _, path, _, body in ROUTES if body is not None]


@pytest.fixture
async def service(store: KeyStore) -> AsyncIterator[Api]:
    service = Api(store)
    yield service
    await service.close()


async def holder(store: KeyStore, permissions: frozenset[Permission]) -> str:
    _, key = await store.create(Grant(name="x", user_id="x", permissions=permissions), created_by="test")
    return key.text


@pytest.mark.parametrize(("method", "path", "permission", "body"), CALLS)
async def test_each_route_takes_its_permission_and_no_other(
    service: Api, store: KeyStore, method: str, path: str, permission: Permission | None, body: Any
) -> None:
    everything_else = await holder(store, frozenset(Permission) - {permission})
    just_this = await holder(store, frozenset({permission} if permission else ()))
    response = await service.call(everything_else, method, path, body)
    if permission is None:
        assert response.is_success
    else:
        assert refusal(response) == (403, "HK1201")
        assert permission in response.text
    response = await service.call(just_this, method, path, body)
    assert response.is_success or refusal(response)[1] in {"HK1102", "HK2001", "HK2004", "HK2071"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"{", "HK1004"),
        (b"\xff\xfe", "HK1004"),
        (b"nonsense", "HK1004"),
        (b"[" * 100_000, "HK1004"),
        (b"[]", "HK2005"),
        (b'"{}"', "HK2005"),
        (b"7", "HK2005"),
        (b'{"unheard_of": 1}', "HK2005"),
        (b'{"unheard\\u202eof": 1}', "HK2005"),
        (b'{"lone\\ud800": 1}', "HK2005"),
    ],
    ids=lambda value: repr(value[:20]),
)
async def test_bad_bodies(service: Api, operator: str, content: bytes, expected: str) -> None:
    headers = {"content-type": "application/json"}
    for method, path in WITH_BODY:
        answer = await service.error(operator, method, path, content=content, headers=headers)
        assert answer == (400, expected), path


async def test_a_body_that_is_not_called_json(service: Api, operator: str) -> None:
    headers = {"content-type": "text/plain"}
    for method, path in WITH_BODY:
        answer = await service.error(operator, method, path, content=b'{"name": "x"}', headers=headers)
        assert answer == (400, "HK2005"), path


async def test_unknown_routes_and_methods(service: Api, operator: str) -> None:
    for method, path in (
        ("GET", "/nothing"),
        ("GET", "/"),
        ("GET", ""),
        ("GET", "/keys/"),
        ("PUT", "/keys"),
        ("PATCH", f"/keys/{ID}"),
        ("OPTIONS", "/keys"),
        ("POST", "/openapi.json"),
        ("GET", "/docs"),
        ("GET", "/redoc"),
        ("GET", f"/keys/{ID}/rotate"),
        ("GET", "/keys/a/b"),
    ):
        response = await service.call(operator, method, path)
        assert refusal(response) == (404, "HK1001")
        assert f"{method} /api/v1{path}" in response.text


async def test_bad_queries(service: Api, operator: str) -> None:
    for path in (
        "/keys?limit=0",
        "/keys?limit=1001",
        "/keys?limit=many",
        "/keys?page_token=key_0000000000000000",
        "/keys?page_token=%00",
        "/keys?workspace=%00",
        "/keys?workspace=A",
        "/keys?worksapce=acme",
        "/workspaces?limit=0",
        "/workspaces?page_token=%00",
        "/workspaces?other=1",
        f"/usage/{ID}/stats?hours=0",
        f"/usage/{ID}/stats?hours=9999",
        f"/usage/{ID}/stats?since=1",
        "/audit?since=yesterday",
        "/audit?workspace=%00",
        "/audit?action=key.steal",
    ):
        assert await service.error(operator, "GET", path) == (400, "HK2005"), path


@pytest.mark.parametrize("key_id", ["key_", "%00", "key_00000000000000%00", "x" * 3000, "%F0%9F%98%80", "..%2f", "'"])
async def test_ids_that_cannot_be(service: Api, operator: str, key_id: str) -> None:
    for method, path in (
        ("GET", "/keys/{}"),
        ("DELETE", "/keys/{}"),
        ("POST", "/keys/{}/rotate"),
        ("GET", "/usage/{}/stats"),
    ):
        response = await service.call(operator, method, path.format(key_id))
        assert refusal(response) in {(404, "HK2004"), (404, "HK1001")}


async def test_a_name_is_never_repeated_unless_it_is_an_id(service: Api, operator: str) -> None:
    response = await service.call(operator, "GET", f"/keys/{operator}")
    assert refusal(response) == (404, "HK2004")
    assert operator[8:] not in response.text


def test_the_document_lists_every_route(service: Api) -> None:
    document = service.service.openapi()
    listed = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert listed == {(method, "/api/v1" + path) for method, path, *_ in ROUTES}


def test_the_document_is_complete(service: Api) -> None:
    document = service.service.openapi()
    assert document["openapi"].startswith("3.1")
    assert {scheme["type"] for scheme in document["components"]["securitySchemes"].values()} == {"http", "apiKey"}
    assert document["security"]
    schemas = document["components"]["schemas"]
    assert "HTTPValidationError" not in schemas
    for schema in schemas.values():
        assert schema.get("description")
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    assert len({operation["operationId"] for operation in operations}) == len(ROUTES)
    for operation in operations:
        assert operation["description"]
        assert operation["tags"]
        assert "422" not in operation["responses"]
        for status in ("400", "401", "403", "404", "409", "429", "503", "default"):
            content = operation["responses"][status]["content"]["application/json"]
            assert content["schema"] == {"$ref": "#/components/schemas/Error"}
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description") or parameter["in"] == "path"


def test_every_field_of_a_request_is_described(service: Api) -> None:
    schemas = service.service.openapi()["components"]["schemas"]
    for name in ("NewKey", "HeldKey", "Rotation", "Question", "NewWorkspace", "Counted"):
        assert schemas[name]["additionalProperties"] is False
        for field in schemas[name]["properties"].values():
            assert field["description"]


async def test_the_document_is_served_without_a_key(service: Api) -> None:
    response = await service.http.get("/api/v1/openapi.json")
    assert response.status_code == 200
    assert response.json() == service.service.openapi()


async def test_many_who_ask_for_the_document_at_once_get_it(service: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads must not put it together at the same time."""
    monkeypatch.setattr(service.service, "_document", None)
    monkeypatch.setattr(service.service, "openapi_schema", None)
    responses = await asyncio.gather(*(service.http.get("/api/v1/openapi.json") for _ in range(20)))
    assert {response.status_code for response in responses} == {200}
    assert len({response.content for response in responses}) == 1


async def test_no_answer_about_keys_is_kept_by_caches(service: Api, operator: str) -> None:
    response = await service.call(operator, "GET", "/keys")
    assert response.headers["cache-control"] == "no-store"


async def test_every_route_answers_503_in_an_outage(own_postgres: Postgres) -> None:
    database = Database(own_postgres.create_database())
    await database.migrate()
    store = KeyStore(database, pepper=PEPPER)
    operator = await create_operator_key(store)
    found = await store.find(store.digest(parse(operator)))
    assert found is not None
    service = Api(store, principal=found.principal)
    await service.ok(operator, "GET", "/keys/self")
    own_postgres.stop()
    for method, _, path, _, body in ROUTES:
        if path != "/keys/validate":
            assert await service.error(operator, method, path, body) == (503, "HK5001"), path
    candidate = {"api_key": operator}
    assert await service.error(operator, "POST", "/keys/validate", candidate) == (503, "HK5001")
    await service.close()
    await database.close()


async def test_a_fault_of_ours_says_nothing_of_its_cause(postgres: Postgres) -> None:
    database = Database(postgres.create_database())
    await database.migrate()
    store = KeyStore(database, pepper=PEPPER)
    service = Api(store)
    operator = await create_operator_key(store)
    own = await service.ok(operator, "GET", "/keys/self")
    async with database.begin() as connection:
        await connection.execute(sa.text("ALTER TABLE hokusai_usage DROP COLUMN refused"))
    response = await service.call(operator, "GET", f"/usage/{own['key_id']}/stats")
    assert refusal(response) == (500, errors.Internal.code)
    assert "hokusai_usage" not in response.text
    await service.close()
    await database.close()
