"""The report of an examination, for programs (JSON) and pipelines (JUnit XML); Markdown has a module of its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as Xml

from hokusai import __version__
from hokusai.doctor.diagnosis import NamedFault, diagnose
from hokusai.doctor.examination import Result, Status
from hokusai.doctor.runner import Run

#: If one of these fails, the deployment was not reached.
_REACHING = frozenset({"dns", "connect", "tls"})


@dataclass(frozen=True, slots=True)
class Report:
    """The results of one examination and what they mean."""

    target: str
    results: tuple[Result, ...]
    diagnosis: tuple[NamedFault, ...]
    left_behind: tuple[str, ...]
    made_at: datetime

    @classmethod
    def of(cls, target: str, run: Run) -> Report:
        return cls(target, run.results, diagnose(run.results, url=target), run.left_behind, datetime.now(UTC))

    @property
    def ok(self) -> bool:
        """Nothing failed, and nothing was skipped that the proof needs."""
        return not any(one.status == "fail" or one.unproven for one in self.results)

    @property
    def reached(self) -> bool:
        return not any(one.status == "fail" and one.check.id in _REACHING for one in self.results)

    def having(self, status: Status) -> list[Result]:
        return [one for one in self.results if one.status == status]

    def counts(self) -> str:
        """``3 passed, 1 failed, 0 skipped``."""
        words: tuple[tuple[Status, str], ...] = (("pass", "passed"), ("fail", "failed"), ("skip", "skipped"))
        return ", ".join(f"{len(self.having(status))} {word}" for status, word in words)

    def groups(self) -> dict[str, list[Result]]:
        """The results by group, in the order of the checks."""
        found: dict[str, list[Result]] = {}
        for one in self.results:
            found.setdefault(one.check.group, []).append(one)
        return found

    def faults_seen_by(self, check: str) -> list[str]:
        return [one.fault.id for one in self.diagnosis if check in one.because]

    def document(self) -> dict[str, Any]:
        """The JSON that scripts rely on; see docs/how-to/doctor.md."""
        return {
            "target": self.target,
            "version": __version__,
            "ok": self.ok,
            "checks": [_check(one) for one in self.results],
            "diagnosis": [_named(one) for one in self.diagnosis],
        }

    def junit(self) -> str:
        """One suite for each group. What failed is a failure, and so is what was skipped and leaves the proof open."""
        root = Xml.Element("testsuites", name="hokusai doctor")
        for group, results in self.groups().items():
            suite = Xml.SubElement(root, "testsuite", name=group, tests=str(len(results)))
            suite.set("failures", str(sum(one.status == "fail" or one.unproven for one in results)))
            suite.set("skipped", str(sum(one.status == "skip" and not one.unproven for one in results)))
            suite.set("time", f"{sum(one.seconds for one in results):.3f}")
            for one in results:
                self._case(suite, one)
        Xml.indent(root)
        return Xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"

    def _case(self, suite: Xml.Element, result: Result) -> None:
        check = result.check
        case = Xml.SubElement(suite, "testcase", classname=f"{check.layer}.{check.group}", name=check.title)
        case.set("time", f"{result.seconds:.3f}")
        if result.status == "skip" and not result.unproven:
            Xml.SubElement(case, "skipped", message=result.outcome.reason or "")
        elif result.status != "pass":
            names = ", ".join(self.faults_seen_by(check.id)) or "not run"
            Xml.SubElement(case, "failure", message=names).text = result.text


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


def _named(one: NamedFault) -> dict[str, Any]:
    return {
        "fault": one.fault.id,
        "layer": one.fault.layer,
        "cause": one.fault.cause,
        "remedy": one.remedy,
        "because": list(one.because),
    }
