"""What came of it, as a table and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.kills.campaign import Result
from tests.kills.judge import SORTS, Finding

_COLUMNS = ("kills", "sent", "acknowledged", "refused", "unanswered", *SORTS, "slowest", "seconds")


def document(results: Sequence[Result]) -> dict[str, Any]:
    return {"layouts": [_facts(result) for result in results]}


def text(results: Sequence[Result]) -> str:
    lines = [f"{'layout':<10}" + "".join(f"{name:>14}" for name in _COLUMNS)]
    for result in results:
        facts = _facts(result)
        lines.append(f"{result.layout:<10}" + "".join(f"{facts[name]:>14}" for name in _COLUMNS))
    for result in results:
        kinds = ", ".join(f"{name} {count}" for name, count in result.kills.most_common())
        lines.append(f"{result.layout}: killed: {kinds}; aimed moments reached: {len(result.points)}")
        if result.missed:
            lines.append(f"{result.layout}: never reached in their seconds: {dict(result.missed)}")
        lines.append(f"{result.layout}: codes of answers: {dict(sorted(result.codes.items()))}")
    lines += [_line(one) for result in results for one in result.findings]
    return "\n".join(lines)


def _line(one: Finding) -> str:
    return f"{one.sort.upper()} ({one.layout}, seed {one.seed}, kills {list(one.kills)}): {one.what}"


def _facts(result: Result) -> dict[str, Any]:
    sorts = Counter(one.sort for one in result.findings)
    changes = result.changes
    return {
        "layout": result.layout,
        "seed": result.seed,
        "kills": result.kills.total(),
        "by_kind": dict(result.kills),
        "points": sorted(result.points),
        "missed": dict(result.missed),
        "sent": changes["begun"],
        **{state: changes[state] for state in ("acknowledged", "refused", "unanswered")},
        **{sort: sorts[sort] for sort in SORTS},
        "codes": result.codes,
        "slowest": round(result.slowest, 2),
        "seconds": round(result.seconds, 1),
        "findings": [one.document() for one in result.findings],
    }
