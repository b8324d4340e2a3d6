"""The table says of each field what MLflow's own protocol buffers say of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from hokusai import errors
from hokusai.gateway import Body, Route, parsing
from hokusai.gateway.field import BOOLEAN, ENUM, INT64, NUMBER, STRING, Field, Kind
from hokusai.gateway.table import TRACKING

KINDS: dict[str, Kind] = {
    "STRING": STRING,
    "INT32": INT64,  # of results, which the rules bound
    "INT64": INT64,
    "DOUBLE": NUMBER,
    "BOOL": BOOLEAN,
    "ENUM": ENUM,
}
#: Importing MLflow starts a process.
pytestmark = pytest.mark.process

#: Strings that MLflow turns into integers.
INTEGERS = {"experiment_id", "experiment_ids", "version"}


def messages() -> dict[tuple[str, str], Any]:
    """The input of each of MLflow's routes, by method and path with ``{}`` for placeholders."""
    from mlflow.protos import databricks_pb2, model_registry_pb2, service_pb2

    found: dict[tuple[str, str], Any] = {}
    for module in (service_pb2, model_registry_pb2):
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                for endpoint in method.GetOptions().Extensions[databricks_pb2.rpc].endpoints:
                    path = f"/api/{endpoint.since.major}.0" + re.sub(r"\{[^}]*\}", "{}", endpoint.path)
                    found.setdefault((endpoint.method, path), method.input_type)
    return found


def pairs(message: Any, listed: tuple[Field, ...], within: str = "") -> Iterator[tuple[str, Field, Any]]:
    """Each field of ours with its way, and MLflow's."""
    for field in listed:
        way = within + field.name
        assert field.name in message.fields_by_name, f"MLflow has no {way}"
        theirs = message.fields_by_name[field.name]
        yield way, field, theirs
        if field.parts:
            yield from pairs(theirs.message_type, field.parts, way + ".")


@pytest.mark.parametrize("route", TRACKING, ids=str)
def test_a_field_is_what_mlflow_says_it_is(route: Route) -> None:
    from google.protobuf.descriptor import FieldDescriptor

    names = {value: name.removeprefix("TYPE_") for name, value in vars(FieldDescriptor).items() if "TYPE_" in name[:5]}
    message = messages()[route.method, re.sub(r"\{[^}]*\}", "{}", route.path)]
    for way, field, theirs in pairs(message, route.fields or ()):
        name = names[theirs.type]
        assert field.many == theirs.is_repeated, way
        assert bool(field.parts) == (name == "MESSAGE"), way
        if not field.parts:
            assert field.kind is (INT64 if field.name in INTEGERS else KINDS[name]), way


def wrapped(route: Route, way: str, value: object) -> bytes:
    """A body with ``value`` at a way into it."""
    names, listed, body = way.split("."), route.fields or (), value
    many = []
    for name in names:
        (field,) = (field for field in listed if field.name == name)
        many.append(field.many)
        listed = field.parts
    many[-1] = False
    for name, is_list in reversed(list(zip(names, many, strict=True))):
        body = {name: [body] if is_list else body}
    return json.dumps(body).encode()


@pytest.mark.parametrize("route", [route for route in TRACKING if route.body is Body.JSON], ids=str)
async def test_no_field_takes_a_value_of_another_shape(route: Route) -> None:
    """A list or an object where a plain value belongs makes MLflow fail with 500."""
    for way, field, _ in pairs(messages()[route.method, re.sub(r"\{[^}]*\}", "{}", route.path)], route.fields or ()):
        odd: list[object] = [[["a"]], [None]]
        odd += ["a", 7, True] if field.many or field.parts else [[], ["1"], [1]]
        odd += [[7], ["a"]] if field.parts else [{}, {"a": 1}]
        for value in odd:
            with pytest.raises(errors.ParameterInvalid, match=f"'{way}' is not"):
                await parsing.json_object(wrapped(route, way, value), route.fields)
