"""What came out as a Markdown report to paste into a ticket: what works, what blocks, why, and what to run next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hokusai import __version__
from hokusai.doctor.check import Result, Status
from hokusai.doctor.report import Report

_MARKS = {"pass": "✅", "fail": "❌", "skip": "⏭️"}
_COUNTED: tuple[tuple[Status, str], ...] = (("pass", "passed"), ("fail", "failed"), ("skip", "skipped"))
_HEADINGS: tuple[tuple[Status, str], ...] = (("pass", "What works ✅"), ("fail", "What blocks ❌"))
#: Of how many named faults the next command is shown.
_NEXT = 3


def markdown(report: Report) -> str:
    return "\n".join((*_head(report), *_found(report), *_causes(report), *_tables(report), *_left(report))) + "\n"


def _head(report: Report) -> Iterator[str]:
    outcome = "✅ WORKS" if report.ok else "❌ BLOCKED" if report.having("fail") else "⚠️ NOT PROVEN"
    yield "# Model registration: test report\n"
    yield f"**Target**: {report.target}  "
    yield f"**Date**: {report.made_at:%Y-%m-%d %H:%M} UTC  "
    yield f"**Examined with**: hokusai doctor {__version__}  "
    yield f"**Result**: {outcome}\n"
    yield "## Summary\n"
    counts = (f"{len(report.having(status))} {word}" for status, word in _COUNTED)
    yield f"{_verdict(report)} Checks: {', '.join(counts)}.\n"


def _verdict(report: Report) -> str:
    if report.diagnosis:
        first = report.diagnosis[0].fault
        return f"{first.title} (`{first.id}`, layer {first.layer})."
    return "A model developer can register models." if report.ok else "What was skipped is not proven."


def _found(report: Report) -> Iterator[str]:
    for status, heading in _HEADINGS:
        if results := report.having(status):
            yield f"## {heading}\n"
            yield from (f"- **{one.check.title}** ({one.check.layer}): {_cell(one.words)}" for one in results)
            yield ""


def _causes(report: Report) -> Iterator[str]:
    if not report.diagnosis:
        return
    yield "## Root cause" + (", the likeliest first" if len(report.diagnosis) > 1 else "") + "\n"
    for place, one in enumerate(report.diagnosis, 1):
        yield f"{place}. **{one.fault.title}** (`{one.fault.id}`, layer {one.fault.layer}). {one.fault.cause}"
        yield f"   Seen by: {', '.join(one.because)}."
    yield "\n## What to run next\n"
    for one in report.diagnosis[:_NEXT]:
        yield f"{one.fault.remedy}\n\n```bash\n{one.fault.command}\n```\n"
        for other in one.alike:
            yield f"To tell it from `{other}`:\n\n```bash\n{one.fault.alike[other]}\n```\n"


def _tables(report: Report) -> Iterator[str]:
    yield "## Results\n"
    yield "| group | result | issue |\n|---|---|---|"
    for group, results in report.groups().items():
        issues = dict.fromkeys(name for one in results if one.status == "fail" for name in report.names(one.check.id))
        yield f"| {group} | {_outcome(results)} | {', '.join(issues) or '–'} |"
    yield "\n| check | layer | result | seconds | evidence |\n|---|---|---|---|---|"
    for one in report.results:
        mark = f"{_MARKS[one.status]} {one.status}"
        yield f"| {one.check.id} | {one.check.layer} | {mark} | {one.seconds:.2f} | {_cell(one.words)} |"


def _outcome(results: Sequence[Result]) -> str:
    states = [one.status for one in results]
    if "fail" in states:
        return f"❌ {states.count('pass')} of {len(states)} passed"
    if any(one.unproven for one in results):
        return "⚠️ not proven"
    return "✅ passed" if "pass" in states else "⏭️ nothing to look at"


def _left(report: Report) -> Iterator[str]:
    if report.left:
        yield "\n## Left behind\n"
        yield from (f"- {one}" for one in report.left)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
