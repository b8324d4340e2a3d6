"""Isolation of tenants: one test for each route and identifier, generated from the route table.

A asks for B's object by every identifier a route takes, and gets exactly the answer for an object
that does not exist. The same request for A's own object succeeds, so it is the object that is refused.
A route or field that this file does not know fails here: say what it identifies.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import httpx2
import pytest

from hokusai.gateway import ROUTES, Body, Route
from hokusai.gateway.field import PLACEHOLDERS, Field
from hokusai.mlflow_api import ARTIFACTS as FILES
from hokusai.mlflow_api import MULTIPART, V2
from hokusai.references import ResourceType
from tests.serving import Server

#: Where a run and a logged model are enough, so that a request is complete.
SPARE = {"run_uuid", "dataset_name", "dataset_digest", "order_by", "filter", "page_token", "datasets", "user_id"}
SPARE |= {"description", "run_link", "experiment_name", "artifact_location", "stages"}

MODEL_JSON = json.dumps(
    {"run_id": "x", "artifact_path": "model", "utc_time_created": "2026-01-01 00:00:00", "flavors": {"sklearn": {}}}
)
#: A valid value for each plain field. A new field that identifies nothing has to be added here.
PLAIN: dict[str, Any] = {
    **dict.fromkeys(SPARE, None),
    "version": "1",
    "max_results": "10",
    "view_type": "ALL",
    "run_view_type": "ALL",
    "model_type": "kind",
    "key": "key",
    "value": "7",
    "timestamp": 1,
    "step": 0,
    "status": "FINISHED",
    "start_time": 1,
    "end_time": 2,
    "name": "new",
    "new_name": "renamed",
    "run_name": "run",
    "alias": "prod",
    "stage": "Staging",
    "archive_existing_versions": False,
    "metric_key": "loss",
    "source": "",
    "model_json": MODEL_JSON,
    **dict.fromkeys(["digest", "source_type", "schema", "profile", "field_name", "ascending"]),
}
#: What says the same of everybody's: that it is not offered.
NOT_OFFERED = MULTIPART
#: Names that look like identifiers and name what is being made, or somebody (replaced by the key's owner).
MAKES = {"/experiments/create", "/registered-models/create", "/logged-models"}


@dataclass
class Tenant:
    """A workspace with one of each thing."""

    http: httpx2.Client
    things: dict[ResourceType, str]
    source: str = ""
    experiment_name: str = ""

    def of(self, place: Place) -> str:
        return self.experiment_name if place.way == ("experiment_name",) else self.things[place.thing]

    def call(self, method: str, target: str, body: Any = None) -> httpx2.Response:
        return self.http.request(method, target, json=body)

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self.call("POST", V2 + path, body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


def tenant(server: Server, marker: str) -> Tenant:
    team = server.workspace(f"wall-{secrets.token_hex(4)}", permissions=["admin"])
    one = Tenant(server.http(team.key), {ResourceType.WORKSPACE: team.name, ResourceType.KEY: team.key_id})
    fill(one, marker)
    return one


def fill(one: Tenant, marker: str) -> None:
    """New things, since the last request may have deleted the old ones."""
    tags = [{"key": "key", "value": marker}]
    one.experiment_name = f"{marker}-{secrets.token_hex(3)}"
    experiment = one.post("/experiments/create", name=one.experiment_name, tags=tags)["experiment_id"]
    run = one.post("/runs/create", experiment_id=experiment, tags=tags)["run"]["info"]
    one.post("/runs/log-metric", run_id=run["run_id"], key="loss", value=1, timestamp=1)
    logged = one.post("/logged-models", experiment_id=experiment, name=marker, tags=tags)["model"]["info"]
    model = f"{marker}-{secrets.token_hex(4)}"
    one.post("/registered-models/create", name=model, tags=tags)
    one.source = f"{run['artifact_uri']}/model"
    one.post("/model-versions/create", name=model, source=one.source, tags=tags)
    one.post("/registered-models/alias", name=model, alias="prod", version="1")
    file = one.source.removeprefix("mlflow-artifacts:/") + "/file.txt"
    assert one.http.put(f"{FILES}/{file}", content=marker.encode()).status_code == 200
    one.things |= {
        ResourceType.EXPERIMENT: experiment,
        ResourceType.RUN: run["run_id"],
        ResourceType.LOGGED_MODEL: logged["model_id"],
        ResourceType.MODEL: model,
        ResourceType.ARTIFACT: file,
    }


def nobodys(thing: ResourceType, theirs: str) -> str:
    """An identifier of the same form that nobody has."""
    if thing is ResourceType.ARTIFACT:
        return re.sub(r"[0-9a-f]{32}", "0" * 32, re.sub(r"workspaces/[^/]+", "workspaces/" + "n" * 13, theirs))
    made = {
        ResourceType.EXPERIMENT: "9" * 9,
        ResourceType.LOGGED_MODEL: "m-" + "0" * 32,
        ResourceType.KEY: "key_" + "0" * 16,
    }
    return made.get(thing, "0" * len(theirs))


@dataclass(frozen=True)
class Place:
    """Where a route takes an identifier: a placeholder of its path, or a field, by its way down."""

    route: Route
    way: tuple[str, ...]
    thing: ResourceType

    def __str__(self) -> str:
        return f"{self.route} {'.'.join(self.way)}"


def places() -> Iterator[Place]:
    for route in ROUTES:
        for name in re.findall(r"\{(\w+)(?::path)?\}", route.path):
            if thing := PLACEHOLDERS[name].of:
                yield Place(route, ("path of", name), thing)
        for way, field in walk(route.fields or ()):
            if field.of:
                yield Place(route, way, field.of)


def walk(fields: tuple[Field, ...], before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Field]]:
    for field in fields:
        yield (*before, field.name), field
        yield from walk(field.parts, (*before, field.name))


def filled(fields: tuple[Field, ...], own: Tenant, place: Place, value: str, before: tuple[str, ...] = ()) -> Any:
    """Every field with a good value of A's own, and ``value`` at the place."""
    made: dict[str, Any] = {}
    for field in fields:
        way = (*before, field.name)
        if way == place.way:
            one: Any = value
        elif field.parts:
            one = filled(field.parts, own, place, value, way)
            if field.name in SPARE and place.way[: len(way)] != way:
                continue
        elif field.of:
            one = None if field.name in SPARE else own.things[field.of]
        else:
            one = own.source if field.name == "source" else PLAIN[field.name]
        if one is not None:
            made[field.name] = [one] if field.many else one
    return made


def send(own: Tenant, place: Place, value: str) -> httpx2.Response:
    route = place.route
    path = route.path
    for name in re.findall(r"\{(\w+)(?::path)?\}", path):
        thing = PLACEHOLDERS[name].of
        given = value if place.way == ("path of", name) else own.things[thing] if thing else "key"
        path = re.sub(r"\{" + name + r"(:path)?\}", lambda _, given=given: quote(given), path)
    asked = filled(route.fields or (), own, place, value)
    if place.way[0] == "path of" and "model_id" in asked:
        asked["model_id"] = value
    if route.path.endswith("/logged-models/{model_id}"):
        asked["status"] = "2"
    if route.path.endswith("/model-versions/create"):
        if place.way == ("model_id",):
            asked["source"] = "models:/" + own.things[ResourceType.LOGGED_MODEL]
            del asked["run_id"]
        else:
            del asked["model_id"]
    if route.path == FILES:
        asked["path"] = asked["path"].rpartition("/")[0]
    if route.body is Body.NONE:
        return own.call(route.method, path + ("?" + urlencode(asked) if asked else ""))
    if route.body is Body.STREAM:
        return own.http.request(route.method, path, content=b"x")
    return own.call(route.method, path, asked)


def seen(answer: httpx2.Response, value: str) -> tuple[int, str]:
    """An answer without what differs from request to request, and without the identifier itself."""
    text = answer.text.replace(answer.headers["x-request-id"], "REQUEST")
    return answer.status_code, re.sub(rf"(?<!\w){re.escape(json.dumps(value)[1:-1])}(?!\w)", "ID", text)


PLACES = [place for place in places() if place.route.to in {"tracking", "artifacts"}]
KEYS = [place for place in places() if place.route.to == "auth" and place.thing is ResourceType.KEY]


@pytest.fixture(scope="module")
def marker() -> str:
    return "marker" + secrets.token_hex(8)


@pytest.fixture(scope="module")
def victim(server: Server, marker: str) -> Iterator[Tenant]:
    one = tenant(server, marker)
    yield one
    one.http.close()


@pytest.fixture(scope="module")
def attacker(server: Server) -> Iterator[Tenant]:
    one = tenant(server, "mine")
    yield one
    one.http.close()


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_anothers_object_is_nobodys(place: Place, victim: Tenant, attacker: Tenant, marker: str) -> None:
    if place.route.path.endswith("/experiments/restore"):
        attacker.post("/experiments/delete", experiment_id=attacker.things[ResourceType.EXPERIMENT])
    theirs = victim.of(place)
    nothing = nobodys(place.thing, theirs)
    refused, unknown = send(attacker, place, theirs), send(attacker, place, nothing)
    assert seen(refused, theirs) == seen(unknown, nothing)
    assert marker not in refused.text.replace(theirs, "") + str(refused.headers)
    own = send(attacker, place, attacker.of(place))
    if place.route.path.startswith(NOT_OFFERED):
        assert seen(own, attacker.of(place)) == seen(refused, theirs)
        assert own.status_code == 501
        return
    assert own.status_code < 300, f"the request itself is broken: {own.text}"
    assert seen(own, attacker.of(place)) != seen(refused, theirs)
    fill(attacker, "mine")


@pytest.mark.parametrize("place", KEYS, ids=str)
def test_anothers_key_is_nobodys(place: Place, server: Server, victim: Tenant, attacker: Tenant) -> None:
    theirs, nothing = victim.things[ResourceType.KEY], nobodys(ResourceType.KEY, victim.things[ResourceType.KEY])
    assert seen(send(attacker, place, theirs), theirs) == seen(send(attacker, place, nothing), nothing)
    with server.http() as operator:
        assert operator.get(f"/api/v1/keys/{theirs}").json()["state"] == "active"


def test_the_victim_has_what_it_had(victim: Tenant, marker: str) -> None:
    """Runs last in this file: everything above was tried on these very objects."""
    run = victim.call("GET", f"{V2}/runs/get?run_id={victim.things[ResourceType.RUN]}").json()["run"]
    assert {"key": "key", "value": marker} in run["data"]["tags"]
    assert run["info"]["lifecycle_stage"] == "active"
    assert [metric["key"] for metric in run["data"]["metrics"]] == ["loss"]
    model = victim.call("GET", f"{V2}/logged-models/{victim.things[ResourceType.LOGGED_MODEL]}").json()["model"]
    assert "metrics" not in model["data"]
    named = quote(victim.things[ResourceType.MODEL])
    assert victim.call("GET", f"{V2}/model-versions/get?name={named}&version=1").status_code == 200
    assert victim.http.get(f"{FILES}/{victim.things[ResourceType.ARTIFACT]}").text == marker


@pytest.mark.parametrize("route", [route for route in ROUTES if route.to in {"tracking", "artifacts"}], ids=str)
def test_every_route_says_which_identifiers_it_takes(route: Route) -> None:
    for name in re.findall(r"\{(\w+)(?::path)?\}", route.path):
        assert name in PLACEHOLDERS, f"say in PLACEHOLDERS what {name!r} identifies"
    assert route.fields is not None, "list its fields"
    for way, field in walk(route.fields):
        if field.of or field.parts:
            continue
        assert field.name in PLAIN, f"say what {'.'.join(way)} identifies, or give it a plain value here"
        looks = field.name == "name" or field.name.endswith(("_id", "_ids", "_uuid"))
        makes = route.path.removeprefix(V2) in MAKES or field.name == "user_id" or "dataset" in way
        assert not looks or makes, f"say what {'.'.join(way)} identifies: Field({field.name!r}, of=…)"
    named = [way for way, field in walk(route.fields) if field.of] or re.findall(r"\{\w+", route.path)
    lists = route.path.endswith(("/search", "/create", "/artifacts"))
    assert named or lists, "it identifies nothing: does it list or make things?"
