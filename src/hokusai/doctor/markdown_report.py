"""The report as Markdown, to paste into a ticket: what works, what blocks, why, and what to run next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hokusai import __version__
from hokusai.doctor.examination import Result, Status
from hokusai.doctor.report import Report

_MARKS = {"pass": "✅", "fail": "❌", "skip": "⏭️"}
_HEADINGS: tuple[tuple[Status, str], ...] = (("pass", "What works ✅"), ("fail", "What blocks ❌"))
#: For how many named faults the next command is shown.
_MAX_COMMANDS = 3


def markdown(report: Report) -> str:
    parts = (_head, _found, _causes, _tables, _left_behind)
    return "\n".join(line for part in parts for line in part(report)) + "\n"


def _head(report: Report) -> Iterator[str]:
    outcome = "✅ WORKS" if report.ok else "❌ BLOCKED" if report.having("fail") else "⚠️ NOT PROVEN"
    yield "# Model registration: test report\n"
    yield f"**Target**: {report.target}  "
    yield f"**Date**: {report.made_at:%Y-%m-%d %H:%M} UTC  "
    yield f"**Examined with**: hokusai doctor {__version__}  "
    yield f"**Result**: {outcome}\n"
    yield "## Summary\n"
    yield f"{_verdict(report)} Checks: {report.counts()}.\n"


def _verdict(report: Report) -> str:
    if report.diagnosis:
        first = report.diagnosis[0].fault
        return f"{first.title} (`{first.id}`, layer {first.layer})."
    return "A model developer can register models." if report.ok else "What was skipped is not proven."


def _found(report: Report) -> Iterator[str]:
    for status, heading in _HEADINGS:
        if results := report.having(status):
            yield f"## {heading}\n"
            yield from (f"- **{one.check.title}** ({one.check.layer}): {_escaped(one.text)}" for one in results)
            yield ""


def _causes(report: Report) -> Iterator[str]:
    if not report.diagnosis:
        return
    yield "## Root cause" + (", the most likely first" if len(report.diagnosis) > 1 else "") + "\n"
    for number, one in enumerate(report.diagnosis, 1):
        yield f"{number}. **{one.fault.title}** (`{one.fault.id}`, layer {one.fault.layer}). {one.fault.cause}"
        yield f"   Seen by: {', '.join(one.because)}."
    yield "\n## What to run next\n"
    for one in report.diagnosis[:_MAX_COMMANDS]:
        yield f"{one.fault.remedy}\n\n```bash\n{one.fault.command}\n```\n"
        for other in one.confused_with:
            yield f"To tell it from `{other}`:\n\n```bash\n{one.fault.confused_with[other]}\n```\n"


def _tables(report: Report) -> Iterator[str]:
    yield "## Results\n"
    yield "| group | result | issue |\n|---|---|---|"
    for group, results in report.groups().items():
        failed = (one.check.id for one in results if one.status == "fail")
        issues = dict.fromkeys(fault for check in failed for fault in report.faults_seen_by(check))
        yield f"| {group} | {_outcome(results)} | {', '.join(issues) or '–'} |"
    yield "\n| check | layer | result | seconds | evidence |\n|---|---|---|---|---|"
    for one in report.results:
        mark = f"{_MARKS[one.status]} {one.status}"
        yield f"| {one.check.id} | {one.check.layer} | {mark} | {one.seconds:.2f} | {_escaped(one.text)} |"


def _outcome(results: Sequence[Result]) -> str:
    states = [one.status for one in results]
    if "fail" in states:
        return f"❌ {states.count('pass')} of {len(states)} passed"
    if any(one.unproven for one in results):
        return "⚠️ not proven"
    return "✅ passed" if "pass" in states else "⏭️ not needed"


def _left_behind(report: Report) -> Iterator[str]:
    if report.left_behind:
        yield "\n## Left behind\n"
        yield from (f"- {one}" for one in report.left_behind)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
