"""One named probe: what it is, and how it comes out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from hokusai.doctor.answer import Answer, told

if TYPE_CHECKING:
    from hokusai.doctor.examination import Examination

Status = Literal["pass", "fail", "skip"]
Kind = Literal["hokusai", "mlflow"]
Layer = Literal[
    "client",
    "dns",
    "tls",
    "load-balancer",
    "proxy",
    "auth",
    "gateway",
    "tracking",
    "artifacts",
    "database",
    "admission",
    "release",
]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a check came out, with what it saw.

    ``signs`` are findings that are in no single answer, named for the rules. ``matters`` tells, of a
    skipped check, whether the deployment is unproven without it.
    """

    status: Status
    evidence: str = ""
    answers: tuple[Answer, ...] = ()
    signs: frozenset[str] = frozenset()
    reason: str | None = None
    matters: bool = True

    def without(self, keys: Collection[str]) -> Outcome:
        """As a report may have it; see ``told``."""
        return replace(self, evidence=told(self.evidence, keys), reason=self.reason and told(self.reason, keys))


def passed(*answers: Answer, note: str = "", signs: Iterable[str] = ()) -> Outcome:
    return Outcome("pass", note or _lines(answers), answers, frozenset(signs))


def failed(*answers: Answer, note: str = "", signs: Iterable[str] = ()) -> Outcome:
    """The last of ``answers`` is the one that failed."""
    return Outcome("fail", "; ".join(filter(None, (note, _lines(answers[-1:])))), answers, frozenset(signs))


def skipped(reason: str, *, matters: bool = True) -> Outcome:
    return Outcome("skip", reason=reason, matters=matters)


def _lines(answers: Iterable[Answer]) -> str:
    return "; ".join(answer.line() for answer in answers)


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the table of checks.

    ``needs`` are checks that must have passed before; ``seconds`` bounds it. ``kinds`` are the
    deployments it makes sense for.
    """

    id: str
    title: str
    layer: Layer
    group: str
    run: Callable[[Examination], Awaitable[Outcome]]
    needs: tuple[str, ...] = ()
    seconds: float = 15
    kinds: tuple[Kind, ...] = ("hokusai", "mlflow")


@dataclass(frozen=True, slots=True)
class Result:
    """A check's outcome, as the report shows it."""

    check: Check
    outcome: Outcome
    seconds: float = 0.0

    @property
    def status(self) -> Status:
        return self.outcome.status

    @property
    def unproven(self) -> bool:
        """Skipped, and the deployment is unproven without it."""
        return self.status == "skip" and self.outcome.matters

    @property
    def words(self) -> str:
        """What was seen, or why nothing was."""
        return self.outcome.evidence or self.outcome.reason or ""
