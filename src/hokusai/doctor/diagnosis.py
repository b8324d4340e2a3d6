"""From results to named faults, the likeliest first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hokusai.doctor.answer import Answer
from hokusai.doctor.check import Result
from hokusai.doctor.faults import FAULTS, Fault
from hokusai.doctor.rules import ANY, RULES, Rule, When


@dataclass(frozen=True, slots=True)
class Named:
    """A fault, how sure it is, and the checks that speak for it."""

    fault: Fault
    sure: int
    because: tuple[str, ...]
    alike: tuple[str, ...] = ()

    @property
    def remedy(self) -> str:
        """What to do, the next command, and what tells this from the faults named beside it."""
        apart = "".join(
            f" It can look the same as {other}; tell them apart with: {self.fault.alike[other]}" for other in self.alike
        )
        return f"{self.fault.remedy} Next: {self.fault.command}{apart}"


def diagnose(results: Sequence[Result], rules: Iterable[Rule] = RULES, *, url: str = "URL") -> tuple[Named, ...]:
    """Every fault that a rule names, as it is told of ``url``; ``unexplained`` where checks failed and none does."""
    if all(result.status != "fail" for result in results):
        return ()
    by_id = {result.check.id: result for result in results}
    found: dict[str, tuple[int, dict[str, None]]] = {}
    for rule in rules:
        because = _because(rule, by_id)
        if because is not None:
            sure, known = found.get(rule.fault, (0, {}))
            found[rule.fault] = (max(sure, rule.sure), known | dict.fromkeys(because))
    if not found:
        found["unexplained"] = (0, {result.check.id: None for result in results if result.status == "fail"})
    ordered = sorted(found.items(), key=lambda one: -one[1][0])
    return tuple(
        Named(_at(fault, url), sure, tuple(because), tuple(other for other in FAULTS[fault].alike if other in found))
        for fault, (sure, because) in ordered
    )


def _at(fault: str, url: str) -> Fault:
    return FAULTS[fault] if url == "URL" else FAULTS[fault].at(url)


def _because(rule: Rule, results: Mapping[str, Result]) -> list[str] | None:
    """The checks by which the rule holds; None where it does not."""
    if any(_matching(when, results) for when in rule.unless):
        return None
    because: list[str] = []
    for when in rule.when:
        matching = _matching(when, results)
        if not matching:
            return None
        because += [result.check.id for result in matching if result.status == "fail"]
    return because


def _matching(when: When, results: Mapping[str, Result]) -> list[Result]:
    asked = results.values() if when.check == ANY else filter(None, [results.get(when.check)])
    return [result for result in asked if result.status == when.outcome and _holds(when, result)]


def _holds(when: When, result: Result) -> bool:
    if when.sign and not result.outcome.signs & set(when.sign):
        return False
    if not (when.status or when.by or when.code or when.trouble or when.says):
        return True
    answers = result.outcome.answers
    return _fits(when, answers[-1] if answers else None, result.outcome.evidence)


def _fits(when: When, answer: Answer | None, evidence: str) -> bool:
    text = evidence + (answer.body.decode("utf-8", "replace") if answer else "")
    if when.says and not any(words in text for words in when.says):
        return False
    if not (when.status or when.by or when.code or when.trouble):
        return True
    return answer is not None and (
        (not when.status or answer.status in when.status)
        and (not when.by or answer.who in when.by)
        and (not when.code or answer.code in when.code)
        and (not when.trouble or answer.trouble in when.trouble)
    )
