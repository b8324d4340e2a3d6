"""What a request refers to: read by the gateway from its fields, checked by the app that knows whose it is."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

#: Where the gateway leaves a request's references, for the app behind it: a sequence of ``Reference``.
REFERENCES = "hokusai.references"


class ResourceType(StrEnum):
    """What an identifier can name. Each resource belongs to one workspace."""

    EXPERIMENT = "experiment"
    RUN = "run"
    LOGGED_MODEL = "logged model"
    MODEL = "registered model"
    ARTIFACT = "artifact"
    KEY = "key"
    WORKSPACE = "workspace"


class Reference(NamedTuple):
    """One identifier in a request: of which type, which one, and the name of the field that holds it."""

    type: ResourceType
    id: str
    field: str
