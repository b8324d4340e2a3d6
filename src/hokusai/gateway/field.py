"""The parameters of a route as data: what each holds, how long it may be, and which resource it identifies.

What is declared here is enforced: ``parsing`` refuses what a field cannot hold, and each resource that a request refers
to is checked by the app behind the gateway (``references``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from hokusai.actions import SubjectType
from hokusai.references import Reference, ResourceType

_MIN_INT64, _MAX_INT64 = -(2**63), 2**63 - 1
#: The longest list of a field that declares no other bound: longer than MLflow's clients ever send.
MAX_ITEMS = 1000
_DIGITS = re.compile(r"-?[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a plain value may be, in words for one and for several, and as a test."""

    one: str
    several: str
    holds: Callable[[Any], bool]


def _is_string(value: Any) -> bool:
    return isinstance(value, str)


def _is_int64(value: Any) -> bool:
    if isinstance(value, str):
        return _DIGITS.fullmatch(value) is not None and _MIN_INT64 <= int(value) <= _MAX_INT64
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and _MIN_INT64 <= value <= _MAX_INT64 and value == int(value)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float)


# What MLflow's parser takes for each type of its protocol buffers (``google.protobuf.json_format``). On other values
# its server fails with 500, or drops the rest of the request without a word.
STRING = Kind("a string", "strings", _is_string)
#: MLflow stores 64 bits, and fails with 500 on most of what does not fit. Identifiers are sent as text.
INT64 = Kind(
    f"a whole number from {_MIN_INT64} to {_MAX_INT64}", f"whole numbers from {_MIN_INT64} to {_MAX_INT64}", _is_int64
)
#: Also as text, which is how JSON holds an infinity.
NUMBER = Kind("a number", "numbers", _is_number)
BOOLEAN = Kind("true or false", "true and false", _is_boolean)
#: MLflow takes the name or the number.
ENUM = Kind("a name or a number", "names and numbers", _is_scalar)


#: The longest text where nothing else is said, in characters: more than MLflow stores of any name, key or filter.
MAX_TEXT = 16_000


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter, in the query or at some level of the JSON body.

    ``many`` makes it a list in JSON, and lets it repeat in a query; ``max_items`` bounds the list. ``max_length``
    bounds a string, in characters; None leaves it to the bound of the body. ``max_conditions`` bounds a filter.

    ``of`` says what it identifies; None is a plain value. A ``target`` is what the request acts on: the app behind the
    gateway looks it up in the workspace anyway. Any other resource the request merely refers to. MLflow takes it from
    every workspace, so it is checked before MLflow sees it.

    ``names`` is what the audit trail calls the thing that the field names, where that is not a ``target``: what does
    not exist yet, or is part of another one. ``noted`` fields are copied into the audit trail, so they hold no secrets.

    ``parts`` are the members of the object it holds, or of each object in its list; without parts it holds plain values
    alone. Members that are not listed are left out: MLflow's parser also takes the camelCase twin of every name
    (``google.protobuf.json_format``), at every level.
    """

    name: str
    kind: Kind = STRING
    many: bool = False
    max_length: int | None = MAX_TEXT
    max_items: int = MAX_ITEMS
    max_conditions: int | None = None
    of: ResourceType | None = None
    target: bool = False
    parts: tuple[Field, ...] = ()
    names: SubjectType | None = None
    noted: bool = False

    @property
    def subject_type(self) -> SubjectType | None:
        """What the audit trail says that a request with this field is about; None where it is about something else."""
        return self.names or (SubjectType[self.of.name] if self.of and self.target else None)

    @property
    def expected(self) -> str:
        """What it holds, in words."""
        if self.parts:
            return "a list of objects" if self.many else "an object"
        return f"a list of {self.kind.several}" if self.many else self.kind.one


def fields(*given: str | Field | tuple[Field, ...]) -> tuple[Field, ...]:
    """The fields that a line of the table lists: names of strings, fields, and groups of them."""
    found: list[Field] = []
    for one in given:
        if isinstance(one, str):
            found.append(Field(one))
        elif isinstance(one, Field):
            found.append(one)
        else:
            found += one
    return tuple(found)


def referring(listed: Sequence[Field]) -> tuple[Field, ...]:
    """The fields that refer to a resource, and those with parts that do; nothing else."""
    pruned = (replace(field, parts=referring(field.parts)) for field in listed)
    return tuple(field for field in pruned if field.parts or (field.of and not field.target))


def references(listed: Sequence[Field], values: Mapping[str, Any], within: str = "") -> Iterator[Reference]:
    """What ``values`` refer to, by fields that are all ``referring``. An empty string refers to nothing."""
    for field in listed:
        value = values.get(field.name, ())
        for one in value if isinstance(value, list | tuple) else (value,):
            if field.parts:
                yield from references(field.parts, one, f"{within}{field.name}.")
            elif field.of and one != "":
                yield Reference(field.of, str(one), within + field.name)


#: The placeholders of paths.
PLACEHOLDERS: Mapping[str, Field] = MappingProxyType(
    {
        field.name: field
        for field in (
            Field("model_id", of=ResourceType.LOGGED_MODEL, target=True),
            Field("tag_key", noted=True),
            Field("path", of=ResourceType.ARTIFACT, target=True),
            Field("key_id", of=ResourceType.KEY, target=True),
            Field("workspace", of=ResourceType.WORKSPACE, target=True),
        )
    }
)
