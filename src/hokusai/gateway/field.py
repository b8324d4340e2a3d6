"""The parameters a route takes, as data: which go on, what they hold, and what they identify."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class ResourceType(StrEnum):
    """What an identifier can name. Each thing belongs to one workspace."""

    EXPERIMENT = "experiment"
    RUN = "run"
    LOGGED_MODEL = "logged model"
    MODEL = "registered model"
    ARTIFACT = "artifact"
    KEY = "key"
    WORKSPACE = "workspace"


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter, in the query or at some level of the JSON body.

    ``many`` lets it repeat in a query. ``of`` says what it identifies; None is a plain value.
    ``parts`` are the members of the object it holds, or of each object in its list; without parts it
    holds plain values alone. Members that are not listed stay behind: MLflow's parser also takes
    the camelCase twin of every name (``google.protobuf.json_format``), at every level.
    """

    name: str
    many: bool = False
    of: ResourceType | None = None
    parts: tuple[Field, ...] = ()


def fields(*given: str | Field | tuple[Field, ...]) -> tuple[Field, ...]:
    """The fields that a line of the table lists: names, fields, and groups of them."""
    found: list[Field] = []
    for one in given:
        if isinstance(one, str):
            found.append(Field(one))
        elif isinstance(one, Field):
            found.append(one)
        else:
            found += one
    return tuple(found)


#: What the placeholders of paths identify.
PLACEHOLDERS: Mapping[str, ResourceType | None] = MappingProxyType(
    {
        "model_id": ResourceType.LOGGED_MODEL,
        "tag_key": None,
        "path": ResourceType.ARTIFACT,
        "key_id": ResourceType.KEY,
        "workspace": ResourceType.WORKSPACE,
    }
)
