"""From the results of checks to named faults, the most likely first."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hokusai.doctor.examination import Result
from hokusai.doctor.faults import ANY, FAULTS, UNEXPLAINED, Fault, Rule, When
from hokusai.doctor.probe import Answer

_NO_ANSWER = Answer("", "")


@dataclass(frozen=True, slots=True)
class NamedFault:
    """A fault, how confident the diagnosis is of it, and the failed checks that point to it.

    ``confused_with`` are those of the faults that can look the same that are named as well.
    """

    fault: Fault
    confidence: int
    because: tuple[str, ...]
    confused_with: tuple[str, ...] = ()

    @property
    def remedy(self) -> str:
        """What to do, the next command, and how to tell this fault from others that are named as well."""
        others = "".join(
            f" It can look the same as {other}; this tells them apart: {self.fault.confused_with[other]}"
            for other in self.confused_with
        )
        return f"{self.fault.remedy} Next: {self.fault.command}{others}"


def diagnose(
    results: Sequence[Result], faults: Iterable[Fault] = tuple(FAULTS.values()), *, url: str | None = None
) -> tuple[NamedFault, ...]:
    """Every fault that a rule points to, with commands for ``url``; ``unexplained`` if checks failed without one."""
    failed = tuple(result.check.id for result in results if result.status == "fail")
    if not failed:
        return ()
    seen = tuple(map(_Observation.of, results))
    found = {fault.id: named for fault in faults if (named := _named(fault, seen))}
    ordered = sorted(found.values() or [NamedFault(UNEXPLAINED, 0, failed)], key=lambda one: -one.confidence)
    return tuple(_completed(one, found, url) for one in ordered)


def _named(fault: Fault, seen: Sequence[_Observation]) -> NamedFault | None:
    """The fault, if one of its rules holds; the strongest of those counts."""
    held = [(rule.confidence, checks) for rule in fault.rules if (checks := _because(rule, seen)) is not None]
    if not held:
        return None
    because = dict.fromkeys(check for _, checks in held for check in checks)
    return NamedFault(fault, max(confidence for confidence, _ in held), tuple(because))


def _completed(one: NamedFault, found: Mapping[str, NamedFault], url: str | None) -> NamedFault:
    confused_with = tuple(other for other in one.fault.confused_with if other in found)
    return NamedFault(one.fault.at(url) if url else one.fault, one.confidence, one.because, confused_with)


@dataclass(frozen=True, slots=True)
class _Observation:
    """What a result shows, by the names of the criteria of ``When``."""

    result: Result
    facts: Mapping[str, Container[Any]]

    @classmethod
    def of(cls, result: Result) -> _Observation:
        outcome = result.outcome
        last = outcome.answers[-1] if outcome.answers else _NO_ANSWER
        facts: dict[str, Container[Any]] = {
            "status": {last.status},
            "by": {last.responder},
            "code": {last.code},
            "failure": {last.failure},
            "text": outcome.evidence + last.text,
            "symptom": outcome.symptoms,
        }
        return cls(result, facts)

    def fits(self, when: When) -> bool:
        return (
            when.check in {ANY, self.result.check.id}
            and when.outcome == self.result.status
            and all(any(value in self.facts[name] for value in values) for name, values in when.criteria.items())
        )


def _because(rule: Rule, seen: Sequence[_Observation]) -> list[str] | None:
    """The failed checks by which the rule holds; None if it does not hold."""
    if any(one.fits(when) for when in rule.unless for one in seen):
        return None
    fitting = [[one.result for one in seen if one.fits(when)] for when in rule.when]
    if not all(fitting):
        return None
    return [result.check.id for results in fitting for result in results if result.status == "fail"]
