"""What a release is proven by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Deployed:
    """What should be running, and where. The key is in no ``repr``."""

    url: str
    auth_url: str
    version: str
    operator_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Proof:
    """``document`` is what a program reads, ``markdown`` what people do; ``cause`` and ``cure`` of the worst fault."""

    ok: bool
    summary: str
    cause: str = ""
    cure: str = ""
    document: Mapping[str, Any] = field(default_factory=dict)
    markdown: str = ""


class Prove(Protocol):
    """Examines a deployment from outside, as a stranger with a key would."""

    def __call__(self, deployed: Deployed) -> Proof: ...
