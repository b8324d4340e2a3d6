"""The auth service answers as its OpenAPI document says, whoever calls it and whatever is sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hokusai.gateway import table
from hokusai.gateway.route import Route
from hokusai.identity import PERMISSION_SETS
from tests.fuzz.bounds import bounds
from tests.serving import Server, Team, serving

DOCUMENT = "/api/v1/openapi.json"
ROUTES = [route for route in table.AUTH if route.path != DOCUMENT]
ROLES = ["operator", "admin", "read"]


@dataclass(frozen=True)
class Service:
    """A server, its document, what has to hold of it, and a key of each role; those of a workspace are of one."""

    server: Server
    schema: Any
    checks: list[Any]
    keys: dict[str, str]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    rates = {f"HOKUSAI_{name}_RATE": "1000000000/second" for name in ("ADDRESS", "KEY", "WORKSPACE", "GUESS")}
    with serving(tmp_path_factory.mktemp("openapi") / "data", settings=rates) as server:
        with server.http("") as http:
            document = http.get(DOCUMENT).json()
        keys = {
            "operator": server.operator_key,
            "admin": server.workspace("asking", permissions=["admin"]).key,
            "read": server.key("asking", permissions=["read"]).key,
        }
        yield Service(server, *_read(document), keys)
        assert not [line for line in server.errors if "Traceback" in line or " ERROR " in line]


def _read(document: Any) -> tuple[Any, list[Any]]:
    """The schema, and the checks to make of every answer. Imported here: every run of any test would pay for it."""
    import schemathesis
    from schemathesis.checks import load_all_checks, not_a_server_error
    from schemathesis.specs.openapi import checks

    load_all_checks()
    return schemathesis.openapi.from_dict(document), [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_headers_conformance,
        checks.response_schema_conformance,
        checks.negative_data_rejection,
        checks.ignored_auth,
        checks.unsupported_method,
    ]


@pytest.fixture
def target(service: Service, request: pytest.FixtureRequest) -> Team:
    """A workspace and a key to be asked about, changed and revoked."""
    return service.server.workspace(f"target-{abs(hash(request.node.name))}")


def test_every_route_of_the_table_is_described_and_no_other(service: Service) -> None:
    described = {
        (method.upper(), path) for path, found in service.schema.raw_schema["paths"].items() for method in found
    }
    assert described == {(route.method, route.path) for route in ROUTES}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_a_route_does_what_is_described(service: Service, target: Team, route: Route, role: str) -> None:
    from schemathesis import GenerationMode

    operation = service.schema[route.path][route.method]
    things = {"key_id": target.key_id, "workspace": target.name}
    named = {name: thing for name, thing in things.items() if f"{{{name}}}" in route.path}
    cases = [
        operation.as_strategy(mode, path_parameters=parameters)
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        for parameters in ([named, None] if named else [None])
    ]

    @bounds(8, long=60)
    @given(case=st.one_of(*cases))
    def asked(case: Any) -> None:
        headers = {"X-API-Key": service.keys[role]}
        response = case.call(base_url=service.server.url, headers=headers)
        case.validate_response(response, checks=service.checks, headers=headers)
        assert "x-request-id" in response.headers
        if route.permission is not None and route.permission not in PERMISSION_SETS[role]:
            assert response.status_code in {400, 401, 403, 404, 413}, response.text

    asked()
