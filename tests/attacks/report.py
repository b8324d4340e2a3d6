"""What came of a run: as a document, as a table, and as ``docs/attacks.md``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.attacks.catalogue import THREATS
from tests.attacks.run import Outcome, utc
from tests.attacks.target import shown

ROOT = Path(__file__).parent.parent.parent
RESULTS = Path(__file__).parent / "results"
PAGE = ROOT / "docs" / "attacks.md"

#: What the first reason of a failure says, in a word.
_KINDS = (
    ("the victim's marker", "read"),
    ("the victim", "changed"),
    ("what is stored", "changed"),
    ("the server called", "called out"),
    ("it was accepted", "accepted"),
    ("it answers", "told apart"),
    ("an answer tells of internals", "told of internals"),
    ("5", "5xx"),
)


def kind(reasons: Iterable[str]) -> str:
    """The gravest of a failure's reasons, in a word."""
    found = list(reasons)
    for text, word in _KINDS:
        if any(reason.startswith(text) for reason in found):
            return word
    return "other"


def result(target: str, outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """A run as plain data."""
    threats: dict[str, dict[str, Any]] = {}
    for outcome in outcomes:
        row = threats.setdefault(str(outcome.case.threat), {"held": 0, "failed": [], "not_applicable": 0})
        if outcome.verdict == "held":
            row["held"] += 1
        elif outcome.verdict == "failed":
            name, reasons = outcome.case.name, [reason[:300] for reason in outcome.reasons]
            row["failed"].append({"name": name, "kind": kind(reasons), "reasons": reasons})
        else:
            row["not_applicable"] += 1
    return {"target": target, "name": shown(target), "measured": utc(), "threats": threats}


def totals(found: Mapping[str, Any]) -> tuple[int, int, int]:
    """Held, tried, not applicable."""
    rows = found["threats"].values()
    held = sum(row["held"] for row in rows)
    return held, held + sum(len(row["failed"]) for row in rows), sum(row["not_applicable"] for row in rows)


def table(found: Mapping[str, Any]) -> str:
    """For a terminal."""
    lines = [f"{found['name']}, {found['measured']}"]
    for number, row in found["threats"].items():
        tried = row["held"] + len(row["failed"])
        left = f"  ({row['not_applicable']} not applicable)" if row["not_applicable"] else ""
        lines.append(f"  {number:>2} {THREATS[int(number)]:<42} {row['held']:>4} of {tried:<4} held{left}")
        lines += [f"       ✗ {one['name']} [{one['kind']}]" for one in row["failed"]]
    held, tried, left_out = totals(found)
    lines.append(f"     all: {held} of {tried} held, {left_out} not applicable")
    return "\n".join(lines)


def keep(found: Mapping[str, Any]) -> None:
    """Put this run in the place of the target's last one, and write the page again."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{found['target']}.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(page({path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}))


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    names = [name for name in ("embedded", "remote", "embedded-s3", "remote-s3", "mlflow") if name in results]
    lines = [_ABOUT, f"| what strangers try | {' | '.join(results[name]['name'] for name in names)} |"]
    lines.append("| --- |" + " --- |" * len(names))
    for number, title in THREATS.items():
        cells = [_cell(results[name]["threats"].get(str(number))) for name in names]
        lines.append(f"| {number}. {title} | {' | '.join(cells)} |")
    sums = [totals(results[name]) for name in names]
    lines.append(f"| **all** | {' | '.join(f'**{held} of {tried}**' for held, tried, _ in sums)} |")
    lines.append(f"| not applicable | {' | '.join(str(left) for _, _, left in sums)} |")
    lines.append("\nMeasured " + "; ".join(f"{results[name]['name']}: {results[name]['measured']}" for name in names))
    for name in names:
        lines += _failures(results[name])
    return "\n".join(lines) + "\n"


_ABOUT = """# What strangers will try

Written by `make attacks` and `make attacks-peer`; do not edit. Each case is an attack over a real
socket by one tenant (A) on another (B). It is *held* when nothing of B's is shown or changed, the
server stays up, no answer is a 5xx or tells of paths, SQL or hosts, nobody connects to a place that
the attacker named, and, where the case says so, the request is refused. Most cases come with a
control: the same request by the rightful owner has to work, so that a case is not held because the
request was broken. Where a server has no such surface and its control cannot work, the case is *not
applicable* and counted nowhere.

A case's *kind* is the gravest thing that happened: *read* and *changed* (the wall is broken), *called
out*, *told apart* (the answer tells that a thing of B's exists), *accepted* (what was to be refused
was done, within A's own workspace), *told of internals*, *5xx*.

The last column, if there is one, is MLflow's own server with workspaces and the basic-auth app it
ships: default permission `NO_PERMISSIONS`, and users whose grants end at their own workspace. The
same cases are sent to it, unchanged. Read its numbers with care: many cases ask for more than it
promises. It means to let tenants choose a version's source, keep secrets, register scorers and talk
to the assistant (*accepted*), and names may hold any character. One cause can fail many cases: that
it answers 500 to any `Authorization` that is not Basic is most of its failures under 20.
"""


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "–"
    tried = row["held"] + len(row["failed"])
    return f"{row['held']} of {tried}" if tried else "–"


def _failures(found: Mapping[str, Any]) -> list[str]:
    if not any(row["failed"] for row in found["threats"].values()):
        return []
    lines = [f"\n## Not held: {found['name']}\n"]
    for number, row in found["threats"].items():
        for word in dict.fromkeys(one["kind"] for one in row["failed"]):
            names = [f"`{one['name']}`".replace("|", "\\|") for one in row["failed"] if one["kind"] == word]
            lines.append(f"- {number}. {THREATS[int(number)]}, *{word}* ({len(names)}): {'; '.join(names)}")
    return lines
