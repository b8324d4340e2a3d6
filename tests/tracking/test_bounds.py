"""What a request may hold, on every route that takes it; and answers that are too large, as smaller pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from hokusai import errors
from hokusai.database import Database
from hokusai.gateway import ROUTES, Body, Route, parsing
from hokusai.gateway.field import Field
from hokusai.identity import FIELDS, PERMISSION_SETS, PRINCIPAL, Principal
from hokusai.model_names import ModelNames
from hokusai.quota import ModelQuota, TrackingQuota
from hokusai.references import REFERENCES
from hokusai.tracking import Tracking
from tests.tracking.conftest import LOCAL, Call, name

#: The names of what is bounded, and the bound, wherever a route takes it.
_LENGTHS = {"profile": 2**16, "schema": 2**18, "source": 2**16 - 1, "filter": 10_000}
_ITEMS = {"order_by": 10}


def _nested(route: Route) -> Iterator[tuple[Route, tuple[Field, ...]]]:
    """Every field of a route, with those it is in."""

    def below(listed: tuple[Field, ...], within: tuple[Field, ...]) -> Iterator[tuple[Field, ...]]:
        for field in listed:
            yield (*within, field)
            yield from below(field.parts, (*within, field))

    yield from ((route, path) for path in below(route.fields or (), ()))


FIELDS_OF_ROUTES = [found for route in ROUTES for found in _nested(route)]
WRONG: tuple[Any, ...] = ([], ["x"], [["x"]], {}, {"a": 1}, [{"a": [1]}])


def _fits(field: Field, value: Any) -> bool:
    """Whether a field may hold this; unlisted members of an object are left out."""
    if field.many:
        return isinstance(value, list) and all(_fits(replace(field, many=False), one) for one in value)
    return isinstance(value, dict) if field.parts else field.kind.holds(value)


def _request(path: tuple[Field, ...], value: Any) -> dict[str, Any]:
    """A body with ``value`` in a field, at its depth."""
    for field in reversed(path[1:]):
        value = {field.name: value}
        inner = path[path.index(field) - 1]
        value = [value] if inner.many else value
    return {path[0].name: value}


async def _refused(route: Route, path: tuple[Field, ...], value: Any) -> errors.HokusaiError | None:
    try:
        await parsing.json_object(json.dumps(_request(path, value)).encode(), route.fields)
    except errors.HokusaiError as error:
        return error
    return None


async def test_another_shape_than_a_fields_own_is_refused_in_every_field_of_every_route() -> None:
    looked_at = 0
    for route, path in FIELDS_OF_ROUTES:
        field = path[-1]
        for wrong in WRONG:
            if _fits(field, wrong):
                continue
            error = await _refused(route, path, wrong)
            looked_at += 1
            assert isinstance(error, errors.ParameterInvalid), (str(route), field.name, wrong)
            assert field.name in str(error)
    assert looked_at > 500


async def test_what_mlflow_returns_with_everything_it_finds_is_bounded_on_every_route_that_takes_it() -> None:
    found = set()
    for route, path in FIELDS_OF_ROUTES:
        field = path[-1]
        inside = any(outer.name == "dataset" for outer in path[:-1])
        if field.name in _LENGTHS and (inside or field.name == "filter") and route.body is Body.JSON:
            found.add((route.path, field.name))
            error = await _refused(route, path, "x" * (_LENGTHS[field.name] + 1))
            assert isinstance(error, errors.TextTooLong), (str(route), field.name)
            assert str(_LENGTHS[field.name]) in str(error)
            assert error.status == 400
            assert await _refused(route, path, "x" * _LENGTHS[field.name]) is None
    assert any(path.endswith("/runs/log-inputs") for path, _ in found)


async def test_a_search_has_a_bound_of_conditions_and_of_terms() -> None:
    searches = [route for route in ROUTES if any(field.name == "filter" for field in route.fields or ())]
    assert {route.path.rpartition("/mlflow/")[2] for route in searches} == {
        f"{what}/search" for what in ("experiments", "runs", "logged-models", "registered-models", "model-versions")
    }
    for route in searches:
        for count, refused in ((30, False), (31, True)):
            text = " and ".join(f"tags.a{number}='1'" for number in range(count))
            query = f"filter={text}".replace(" ", "%20").encode()
            if route.body is Body.JSON:
                error = await _refused(route, (Field("filter"),), text)
            else:
                error = None
                try:
                    parsing.query(query, route.fields)
                except errors.SearchTooComplex as found:
                    error = found
            assert isinstance(error, errors.SearchTooComplex) is refused, str(route)
        terms: Any = [{"field_name": "a"}] if "logged-models" in route.path else ["a"]
        if route.body is Body.JSON:
            assert await _refused(route, (Field("order_by"),), terms * 10) is None
            assert isinstance(await _refused(route, (Field("order_by"),), terms * 11), errors.SearchTooComplex)
        else:
            with pytest.raises(errors.SearchTooComplex):
                parsing.query(b"&".join([b"order_by=a"] * 11), route.fields)


class Engine:
    """MLflow with results that are so large that only ``fits`` of them are in one answer."""

    name = "pages"

    def __init__(self, fits: int) -> None:
        self.fits = fits
        self.asked: list[int] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].endswith("/search"):
            self.asked.append(json.loads((await receive())["body"])["max_results"])
            if self.asked[-1] > self.fits:
                raise [errors.AnswerTooLarge(limit=1), errors.RequestMemoryExceeded(limit=1)][len(self.asked) % 2]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def check(self) -> None: ...

    def routes(self) -> None: ...


@pytest.mark.parametrize(
    ("fits", "asked"), [(1000, [1000]), (500, [1000, 100]), (3, [1000, 100, 10, 1]), (0, [1000, 100, 10, 1])]
)
async def test_a_page_that_is_too_large_is_asked_for_again_with_fewer_results(
    fits: int, asked: list[int], models: ModelQuota, database: Database
) -> None:
    engine = Engine(fits)
    stored = TrackingQuota(database, max_bytes=None)
    tracking = Tracking(engine, models=models, names=ModelNames(database), stored=stored, timeout=5)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("the body was read already")

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/2.0/mlflow/runs/search",
        "query_string": b"",
        "headers": [],
        FIELDS: {"experiment_ids": ["1"]},
        REFERENCES: (),
        PRINCIPAL: Principal("key_1", "user", "acme", PERMISSION_SETS["admin"]),
    }
    if fits:
        await tracking(scope, receive, send)
        assert sent[0]["status"] == 200
    else:
        with pytest.raises(errors.ResultTooLarge):
            await tracking(scope, receive, send)
    assert engine.asked == asked
    await tracking.close()


@pytest.mark.parametrize("engine", [LOCAL], indirect=True)
async def test_one_thing_has_a_bound_of_tags_however_they_come(call: Call) -> None:
    team = name("team")
    run = (await call(team, "POST", "/runs/create", experiment_id="0", start_time=1))["run"]["info"]["run_id"]
    for batch in range(9):
        tags = [{"key": f"{batch}-{number}", "value": "v"} for number in range(100)]
        await call(team, "POST", "/runs/log-batch", run_id=run, tags=tags)
    tags = [{"key": f"last-{number}", "value": "v"} for number in range(100)]
    with pytest.raises(errors.TrackingRefused, match="more than 1000 tags"):
        await call(team, "POST", "/runs/log-batch", run_id=run, tags=tags)
    await call(team, "POST", "/runs/log-batch", run_id=run, tags=tags[:90])
    await call(team, "POST", "/runs/set-tag", run_id=run, key="last-0", value="another value")
    for number in range(20):
        try:
            await call(team, "POST", "/runs/set-tag", run_id=run, key=f"more-{number}", value="v")
        except errors.TrackingRefused:
            break
    else:
        raise AssertionError("there is no bound")
