"""What the audit trail says that a request is about: from the declarations of routes and fields."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hokusai.actions import Action
from hokusai.gateway import ROUTES, Exchange, Route, RouteTable
from hokusai.gateway.subject import MAX_ANSWER, About, about

TABLE = RouteTable(ROUTES)
V2 = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts"


def of(method: str, path: str, values: dict[str, Any] | None = None, answer: Any = None) -> About:
    match = TABLE.find(method, path)
    assert match is not None, path
    exchange = Exchange("r", "192.0.2.1", match, status=200, values=values or {})
    if answer is not None:
        exchange.answer = bytearray(answer if isinstance(answer, bytes) else json.dumps(answer).encode())[:MAX_ANSWER]
    return about(exchange)


@pytest.mark.parametrize("route", [route for route in ROUTES if route.changes], ids=str)
def test_every_change_has_an_action_and_a_subject(route: Route) -> None:
    """A new route that changes something says what it does, and to what."""
    assert route.action is not None
    named = {field.subject_type for field in (*(route.fields or ()), *route.about)}
    named |= {answer.names for answer in route.answers}
    assert (named - {None}) or "{" in route.path


def test_actions_are_all_used_and_no_reading_but_these_is_recorded() -> None:
    assert {route.action for route in ROUTES} - {None} == set(Action)
    reads = {route.action for route in ROUTES if route.action and not route.changes}
    assert reads == {Action.ARTIFACT_DOWNLOAD, Action.KEY_LIST, Action.KEY_SHOW, Action.AUDIT_READ}


@pytest.mark.parametrize(
    ("method", "path", "values", "answer", "expected"),
    [
        ("POST", f"{V2}/registered-models/create", {"name": "churn"}, None, ("model", "churn", None)),
        ("PATCH", f"{V2}/registered-models/update", {"name": "churn"}, None, ("model", "churn", None)),
        ("POST", f"{V2}/registered-models/rename", {"name": "churn", "new_name": "x"}, None, ("model", "churn", None)),
        (
            "POST",
            f"{V2}/model-versions/create",
            {"name": "churn", "source": "runs:/1/model"},
            {"model_version": {"name": "churn", "version": "3"}},
            ("version", "churn/3", "churn"),
        ),
        ("POST", f"{V2}/model-versions/create", {"name": "churn"}, None, ("model", "churn", None)),
        (
            "DELETE",
            f"{V2}/model-versions/delete",
            {"name": "churn", "version": 3},
            None,
            ("version", "churn/3", "churn"),
        ),
        (
            "POST",
            f"{V2}/registered-models/alias",
            {"name": "churn", "alias": "champion", "version": "3"},
            None,
            ("alias", "churn@champion", "churn"),
        ),
        (
            "DELETE",
            f"{V2}/registered-models/alias",
            {"name": "churn", "alias": "champion"},
            None,
            ("alias", "churn@champion", "churn"),
        ),
        ("POST", f"{V2}/runs/update", {"run_id": "", "run_uuid": "abc"}, None, ("run", "abc", None)),
        (
            "POST",
            f"{V2}/runs/create",
            {"experiment_id": 7},
            {"run": {"info": {"run_id": "abc"}}},
            ("run", "abc", "7"),
        ),
        ("POST", f"{V2}/experiments/create", {"name": "e"}, {"experiment_id": "9"}, ("experiment", "9", "e")),
        ("PATCH", f"{V2}/logged-models/m-1", {}, None, ("logged_model", "m-1", None)),
        ("DELETE", f"{V2}/logged-models/m-1/tags/colour", {}, None, ("logged_model", "m-1", None)),
        ("PUT", f"{FILES}/1/abc/artifacts/gr%C3%B6sse.bin", {}, None, ("artifact", "1/abc/artifacts/grösse.bin", None)),
        ("GET", f"{FILES}/1/abc/x", {}, None, ("artifact", "1/abc/x", None)),
        ("DELETE", "/api/v1/keys/key_1", {}, {"key_id": "key_1", "workspace": "acme"}, ("key", "key_1", None)),
        (
            "POST",
            "/api/v1/keys/key_1/rotate",
            {},
            {"key_id": "key_2", "key": "hk_live_secret", "permissions": ["models:read"]},
            ("key", "key_2", "key_1"),
        ),
        ("POST", "/api/v1/workspaces", {"name": "acme"}, None, ("workspace", "acme", None)),
        ("POST", "/api/v1/workspaces/acme/suspend", {}, None, ("workspace", "acme", None)),
        ("GET", "/api/v1/keys", {"workspace": "acme"}, None, (None, None, None)),
    ],
)
def test_the_narrowest_thing_is_the_subject(
    method: str, path: str, values: dict[str, Any], answer: Any, expected: tuple[str | None, ...]
) -> None:
    found = of(method, path, values, answer)
    assert (found.type, found.name, found.within) == expected


def test_details_are_what_is_declared_and_nothing_else() -> None:
    made = {
        "key_id": "key_2",
        "key": "hk_live_" + "0" * 38,
        "name": "ci",
        "workspace": "acme",
        "user_id": "jo",
        "permissions": ["models:read", "runs:read"],
        "expires_at": None,
        "hint": "hk_live_0",
    }
    found = of("POST", "/api/v1/keys", {"name": "ci", "permissions": ["read"], "x": "y"}, made)
    assert (found.type, found.name) == ("key", "key_2")
    assert found.details == {
        "name": "ci",
        "workspace": "acme",
        "user_id": "jo",
        "permissions": ["models:read", "runs:read"],
    }
    tagged = of(
        "POST", f"{V2}/model-versions/set-tag", {"name": "m", "version": "1", "key": "owner", "value": "secret"}
    )
    assert tagged.details == {"key": "owner"}
    quota = of("PATCH", "/api/v1/workspaces/acme", {"quota": {"bytes": 5}})
    assert quota.details == {"quota": '{"bytes": 5}'}
    assert of("GET", "/api/v1/audit", {"subject": "churn"}).details == {"subject": "churn"}


def test_a_key_in_a_name_is_not_written() -> None:
    key = "hk_live_" + "0Ab1" * 9 + "00"
    for found in (
        of("POST", f"{V2}/registered-models/create", {"name": key}),
        of("PUT", f"{FILES}/{key}"),
        of("POST", f"{V2}/model-versions/create", {"name": "m", "source": f"s3://x/{key}"}),
    ):
        assert key not in json.dumps([found.name, found.details])


@pytest.mark.parametrize("value", ["a\nb", "\ud800", "\x1b[2J", "x" * 100_000, {"a": ["\n"] * 10_000}, ["a"] * 100])
def test_details_are_bounded_lines(value: Any) -> None:
    found = of("POST", f"{V2}/registered-models/rename", {"name": "m", "new_name": value})
    text = found.details["new_name"]
    assert isinstance(text, str)
    assert text.isprintable()
    assert len(text) <= 256


def test_an_answer_that_is_too_long_to_parse_is_searched() -> None:
    """What the client put into it cannot pass for the number: its quotes are escaped."""
    answer = {"model_version": {"name": 'x", "version": "666', "version": "4", "description": "d" * MAX_ANSWER}}
    found = of("POST", f"{V2}/model-versions/create", {"name": "churn"}, answer)
    assert found.name == "churn/4"


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b"null", b'{"model_version": 7}', b"\xff"])
def test_an_answer_of_another_shape_is_no_reason_to_fail(answer: bytes) -> None:
    found = of("POST", f"{V2}/model-versions/create", {"name": "churn"}, answer)
    assert (found.type, found.name) == ("model", "churn")
