"""A field of any route that says ``of=`` is checked, without another line of code."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from hokusai import errors
from hokusai.gateway import Body, Route
from hokusai.gateway.field import PLACEHOLDERS, Field
from hokusai.gateway.route import Match
from hokusai.gateway.table import TRACKING
from hokusai.references import ResourceType
from tests.tracking.conftest import LOCAL, Call, SendAs, name
from tests.tracking.test_walls import Team

MODEL = "theirs alone"
NOBODYS = {
    ResourceType.EXPERIMENT: "9" * 9,
    ResourceType.RUN: "0" * 32,
    ResourceType.LOGGED_MODEL: "m-" + "0" * 32,
    ResourceType.MODEL: "nobody's",
}


def ids(team: Team) -> dict[ResourceType, str]:
    return {
        ResourceType.EXPERIMENT: team.run["experiment_id"],
        ResourceType.RUN: team.run_id,
        ResourceType.LOGGED_MODEL: team.model_id,
        ResourceType.MODEL: "m",
    }


def matched(route: Route, team: Team) -> Match:
    values = {"model_id": team.model_id, "tag_key": "key"}
    path = route.path
    for placeholder, value in values.items():
        path = path.replace(f"{{{placeholder}}}", value)
    return Match(route, path, {name: value for name, value in values.items() if f"{{{name}}}" in route.path})


def places(route: Route, type_: ResourceType, value: str) -> Iterator[tuple[Field, dict[str, Any], str]]:
    """A field to be added to a route, what a request sends in it, and how a refusal names it."""
    added = Field("added", of=type_)
    yield added, {"added": value}, "added"
    yield replace(added, many=True), {"added": [value]}, "added"
    if route.body is Body.JSON:
        yield Field("outer", many=True, parts=(added,)), {"outer": [{"added": value}]}, "outer.added"


@pytest.mark.parametrize("type_", NOBODYS)
@pytest.mark.parametrize("engine", [LOCAL], indirect=True)
async def test_a_field_added_to_any_route_is_checked(call: Call, send: SendAs, type_: ResourceType) -> None:
    team, other = await Team(call).settle(), await Team(call).settle()
    await other("POST", "/registered-models/create", name=MODEL)
    own, theirs = ids(team)[type_], {**ids(other), ResourceType.MODEL: MODEL}[type_]
    for route in TRACKING:
        needed = {"name": "m", "source": team.files} if route.path.endswith("/model-versions/create") else {}

        async def refused(field: Field, sent: dict[str, Any], route: Route = route, needed: Any = needed) -> str:
            match = matched(replace(route, fields=(*(route.fields or ()), field)), team)
            with pytest.raises(errors.ReferenceUnknown) as caught:
                await send(team.name, match, {**needed, **sent})
            return str(caught.value)

        for field, sent, way in places(route, type_, theirs):
            said = f"tracking: the {type_} in {way!r} does not exist in this workspace."
            assert await refused(field, sent) == said, route
        field, sent, _ = next(places(route, type_, NOBODYS[type_]))
        assert await refused(field, sent) == said.replace("outer.", ""), f"{route} tells theirs from nobody's"
        field, sent, _ = next(places(route, type_, own))
        match = matched(replace(route, fields=(*(route.fields or ()), field)), team)
        with contextlib.suppress(errors.TrackingRefused, errors.TrackingUnknown):  # it lacks all that MLflow requires
            await send(team.name, match, {**needed, **sent})


async def test_a_placeholder_added_to_a_route_is_checked(
    call: Call, send: SendAs, monkeypatch: pytest.MonkeyPatch
) -> None:
    team, other = await Team(call).settle(), await Team(call).settle()
    placeholder = {"of_run": Field("of_run", of=ResourceType.RUN)}
    monkeypatch.setattr("hokusai.gateway.route.PLACEHOLDERS", {**PLACEHOLDERS, **placeholder})
    route = Route("POST", "/api/2.0/mlflow/runs/{of_run}/x", "tracking", body=Body.JSON)
    for run_id in (other.run_id, "0" * 32):
        with pytest.raises(errors.ReferenceUnknown, match="'of_run'"):
            await send(team.name, Match(route, f"/api/2.0/mlflow/runs/{run_id}/x", {"of_run": run_id}), {})


async def test_a_resource_that_mlflow_does_not_keep_is_not_let_through(call: Call, send: SendAs) -> None:
    route = replace(TRACKING[0], fields=(Field("added", of=ResourceType.KEY),))
    with pytest.raises(KeyError):
        await send(name("team"), Match(route, route.path, {}), {"added": "key_1"})


async def test_references_have_a_bound(team: Team) -> None:
    """Each one that is not known costs a question to MLflow."""
    measured = {"key": "a", "value": 1, "timestamp": 1, "step": 0}
    metrics = [{**measured, "model_id": f"m-{number:032}"} for number in range(101)]
    with pytest.raises(errors.ListTooLong, match=r"'metrics\.model_id' has more than 100"):
        await team("POST", "/runs/log-batch", run_id=team.run_id, metrics=metrics)


@pytest.fixture
async def team(call: Call) -> Team:
    return await Team(call).settle()
