"""What came out, for programs (JSON), pipelines (JUnit XML) and tickets (Markdown)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any
from xml.etree import ElementTree as Xml

from hokusai import __version__
from hokusai.doctor.check import Result, Status
from hokusai.doctor.diagnosis import Named, diagnose
from hokusai.doctor.runner import Run

_MARKS = {"pass": "✅", "fail": "❌", "skip": "⏭️"}
#: Checks without which nobody was reached.
_REACHING = frozenset({"dns", "connect", "tls"})


@dataclass(frozen=True, slots=True)
class Report:
    """The results of one examination and what they mean."""

    target: str
    results: tuple[Result, ...]
    diagnosis: tuple[Named, ...]
    left: tuple[str, ...]
    made_at: datetime

    @classmethod
    def of(cls, target: str, run: Run) -> Report:
        return cls(target, run.results, diagnose(run.results), run.left, datetime.now(UTC))

    @property
    def ok(self) -> bool:
        """Nothing failed, and nothing that matters was skipped."""
        return not any(one.status == "fail" or (one.status == "skip" and one.outcome.matters) for one in self.results)

    @property
    def reached(self) -> bool:
        return not any(one.status == "fail" and one.check.id in _REACHING for one in self.results)

    def having(self, status: Status) -> list[Result]:
        return [one for one in self.results if one.status == status]

    def document(self) -> dict[str, Any]:
        """The shape that scripts rely on; see docs/how-to/doctor.md."""
        return {
            "target": self.target,
            "version": __version__,
            "ok": self.ok,
            "checks": [_check(one) for one in self.results],
            "diagnosis": [_named(one) for one in self.diagnosis],
        }

    def junit(self) -> str:
        """A suite per group; what failed is a failure, and what was skipped although it matters, too."""
        root = Xml.Element("testsuites", name="hokusai doctor")
        for group, members in groupby(
            sorted(self.results, key=lambda one: one.check.group), lambda one: one.check.group
        ):
            results = list(members)
            suite = Xml.SubElement(root, "testsuite", name=group, tests=str(len(results)))
            suite.set("failures", str(sum(one.status == "fail" or _unproven(one) for one in results)))
            suite.set("skipped", str(sum(one.status == "skip" and not _unproven(one) for one in results)))
            suite.set("time", f"{sum(one.seconds for one in results):.3f}")
            for one in results:
                self._case(suite, one)
        Xml.indent(root)
        return Xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"

    def _case(self, suite: Xml.Element, result: Result) -> None:
        check = result.check
        case = Xml.SubElement(suite, "testcase", classname=f"{check.layer}.{check.group}", name=check.title)
        case.set("time", f"{result.seconds:.3f}")
        if result.status == "skip" and not _unproven(result):
            Xml.SubElement(case, "skipped", message=_xml(result.outcome.reason or ""))
        elif result.status != "pass":
            names = ", ".join(one.fault.id for one in self.diagnosis if check.id in one.because) or "not run"
            words = result.outcome.evidence or result.outcome.reason or ""
            Xml.SubElement(case, "failure", message=_xml(names)).text = _xml(words)

    def markdown(self) -> str:
        """A report to paste into a ticket."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        passed, failures, skips = self.having("pass"), self.having("fail"), self.having("skip")
        outcome = "✅ WORKS" if self.ok else "❌ BLOCKED" if failures else "⚠️ NOT PROVEN"
        yield "# Model registration: test report\n"
        yield f"**Target**: {self.target}  "
        yield f"**Date**: {self.made_at:%Y-%m-%d %H:%M} UTC  "
        yield f"**Examined with**: hokusai doctor {__version__}  "
        yield f"**Result**: {outcome}\n"
        yield "## Summary\n"
        yield f"{len(passed)} checks passed, {len(failures)} failed, {len(skips)} were skipped. {self._verdict()}\n"
        if passed:
            yield "## What works ✅\n"
            yield from (f"- **{one.check.title}**: {_cell(one.outcome.evidence)}" for one in passed)
            yield ""
        if failures:
            yield "## What blocks ❌\n"
            yield from (
                f"- **{one.check.title}** ({one.check.layer}): {_cell(one.outcome.evidence)}" for one in failures
            )
            yield ""
            yield from self._causes()
        yield "## All checks\n"
        yield "| check | layer | result | seconds | evidence |\n|---|---|---|---|---|"
        for one in self.results:
            words = _cell(one.outcome.evidence or one.outcome.reason or "")
            mark = f"{_MARKS[one.status]} {one.status}"
            yield f"| {one.check.id} | {one.check.layer} | {mark} | {one.seconds:.2f} | {words} |"
        if self.left:
            yield "\n## Left behind\n"
            yield from (f"- {one}" for one in self.left)

    def _verdict(self) -> str:
        if self.diagnosis:
            first = self.diagnosis[0].fault
            return f"Most likely cause: {first.title.lower()} (`{first.id}`, layer {first.layer})."
        return "A model developer can register models." if self.ok else "What was skipped is not proven."

    def _causes(self) -> Iterator[str]:
        yield "## Root cause\n"
        for place, one in enumerate(self.diagnosis, 1):
            yield f"{place}. **{one.fault.title}** (`{one.fault.id}`, layer {one.fault.layer}). {one.fault.cause}"
            yield f"   Seen by: {', '.join(one.because)}."
        yield "\n## What to run next\n"
        for one in self.diagnosis[:3]:
            yield f"{one.fault.remedy}\n\n```bash\n{one.fault.command}\n```\n"
            for other in one.alike:
                yield f"To tell it from `{other}`:\n\n```bash\n{one.fault.alike[other]}\n```\n"


def _check(result: Result) -> dict[str, Any]:
    return {
        "id": result.check.id,
        "title": result.check.title,
        "layer": result.check.layer,
        "status": result.status,
        "evidence": result.outcome.evidence,
        "seconds": round(result.seconds, 3),
        "reason": result.outcome.reason,
    }


def _named(one: Named) -> dict[str, Any]:
    fault = one.fault
    return {
        "fault": fault.id,
        "layer": fault.layer,
        "cause": fault.cause,
        "remedy": one.remedy,
        "because": list(one.because),
    }


def _unproven(result: Result) -> bool:
    return result.status == "skip" and result.outcome.matters


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def _xml(text: str) -> str:
    """Without characters that XML 1.0 has no place for."""
    return "".join(char for char in text if char in "\t\n" or ord(char) >= 0x20)
