"""What a field declares about the resources it identifies is found in a request, wherever the field is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hokusai.gateway.field import PLACEHOLDERS, Field, fields, references, referring
from hokusai.gateway.forward import references_of
from hokusai.gateway.route import Match, Route
from hokusai.gateway.table import ROUTES
from hokusai.references import Reference, ResourceType

RUN, LOGGED_MODEL = ResourceType.RUN, ResourceType.LOGGED_MODEL
TARGET = Field("run_id", of=RUN, target=True)
SOURCE = Field("source_run_id", of=RUN)
MODEL = Field("model_id", of=LOGGED_MODEL)
METRICS = Field("metrics", many=True, parts=fields("key", MODEL))
DEEP = Field("deep", parts=(Field("deeper", many=True, parts=(TARGET, MODEL)),))


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({}, []),
        ({"run_id": "r"}, []),
        ({"source_run_id": "r"}, [Reference(RUN, "r", "source_run_id")]),
        ({"source_run_id": ""}, []),
        ({"metrics": []}, []),
        ({"metrics": [{"key": "a"}, {"model_id": "m"}]}, [Reference(LOGGED_MODEL, "m", "metrics.model_id")]),
        (
            {"deep": {"deeper": [{"run_id": "r", "model_id": "m"}]}, "run_ids": ["a", "b"]},
            [
                Reference(LOGGED_MODEL, "m", "deep.deeper.model_id"),
                Reference(RUN, "a", "run_ids"),
                Reference(RUN, "b", "run_ids"),
            ],
        ),
    ],
)
def test_a_reference_is_found_wherever_its_field_is(values: dict[str, object], found: list[Reference]) -> None:
    listed = (TARGET, SOURCE, METRICS, DEEP, Field("run_ids", many=True, of=RUN))
    assert list(references(referring(listed), values)) == found


def test_fields_that_refer_to_nothing_are_not_looked_at() -> None:
    assert referring((TARGET, Field("key"), Field("tags", many=True, parts=fields("key", "value")))) == ()
    assert referring((TARGET, METRICS)) == (replace(METRICS, parts=(MODEL,)),)


def test_a_placeholder_refers_as_a_field_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hokusai.gateway.route.PLACEHOLDERS", {**PLACEHOLDERS, "run_id": Field("run_id", of=RUN)})
    route = Route("POST", "/runs/{run_id}/models/{model_id}", "tracking", fields=(SOURCE,))
    match = Match(route, "/runs/a%20b/models/m", {"run_id": "a%20b", "model_id": "m"})
    found = references_of(match, {"source_run_id": "s"})
    assert list(found) == [Reference(RUN, "s", "source_run_id"), Reference(RUN, "a b", "run_id")]


@pytest.mark.parametrize("to", ["auth", "artifacts", "home"])
def test_only_a_route_to_tracking_may_refer(to: str) -> None:
    with pytest.raises(ValueError, match="does not check"):
        Route("GET", "/x", to, fields=(METRICS,))


def test_routes_that_refer_to_nothing_hand_on_one_empty_tuple() -> None:
    """The common case costs nothing."""
    for route in ROUTES:
        if not route.refers and not route.path_refers:
            assert references_of(Match(route, route.path, {}), {"run_id": "r"}) is ()  # noqa: F632
