"""The proof that a release works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Deployed:
    """What should be running, and where. The key is left out of ``repr``."""

    url: str
    auth_url: str
    version: str
    operator_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Proof:
    """``document`` is for programs, ``markdown`` for people. ``cause`` and ``cure`` are those of the worst fault."""

    ok: bool
    summary: str
    cause: str = ""
    cure: str = ""
    document: Mapping[str, Any] = field(default_factory=dict)
    markdown: str = ""


class Prove(Protocol):
    """Examines a deployment from outside, as a stranger with a key would."""

    def __call__(self, deployed: Deployed) -> Proof: ...
