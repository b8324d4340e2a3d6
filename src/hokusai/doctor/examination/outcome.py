"""How a check came out, and what it saw."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from hokusai.doctor.probe import Answer, sanitized

Status = Literal["pass", "fail", "skip"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The status of a check, with its evidence.

    ``symptoms`` are observations that no single answer shows, named for the rules. ``optional`` says of
    a skipped check that the deployment is proven without it.
    """

    status: Status
    evidence: str = ""
    answers: tuple[Answer, ...] = ()
    symptoms: frozenset[str] = frozenset()
    reason: str | None = None
    optional: bool = False

    def without(self, keys: Collection[str]) -> Outcome:
        """The outcome as a report may show it; see ``sanitized``."""
        reason = self.reason and sanitized(self.reason, keys)
        return replace(self, evidence=sanitized(self.evidence, keys), reason=reason)


def passed(*answers: Answer, note: str = "", symptoms: Iterable[str] = ()) -> Outcome:
    return Outcome("pass", note or _summaries(answers), answers, frozenset(symptoms))


def failed(*answers: Answer, note: str = "", symptoms: Iterable[str] = ()) -> Outcome:
    """The last of ``answers`` is the one that failed."""
    evidence = "; ".join(filter(None, (note, _summaries(answers[-1:]))))
    return Outcome("fail", evidence, answers, frozenset(symptoms))


def skipped(reason: str, *, optional: bool = False) -> Outcome:
    return Outcome("skip", reason=reason, optional=optional)


def _summaries(answers: Iterable[Answer]) -> str:
    return "; ".join(answer.summary() for answer in answers)
