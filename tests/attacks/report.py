"""The result of a run: as a document, as a table, and as ``docs/attacks.md``."""

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

#: How the reason of a failure begins, and the one word for it; the gravest first.
_KINDS = (
    ("the victim's marker", "read"),
    ("the victim", "changed"),
    ("what is stored", "changed"),
    ("the server called", "called out"),
    ("it was accepted", "accepted"),
    ("it answers", "distinguishable"),
    ("an answer shows internals", "internals shown"),
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
    """Store this run instead of the target's last one, and write the page again."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{found['target']}.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(page({path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}))


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    names = [name for name in ("embedded", "remote", "embedded-s3", "remote-s3", "mlflow") if name in results]
    lines = [_ABOUT, f"| attack | {' | '.join(results[name]['name'] for name in names)} |"]
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


_ABOUT = """# Attacks of one tenant on another

Written by `make attacks` and `make attacks-peer`; do not edit. Each case is an attack over a real socket by one
tenant (A) on another (B). It is *held* when nothing of B's is shown or changed, the server stays up, no answer is a
5xx or shows paths, SQL or hosts, the server connects to no address that the attacker named, and, where the case
requires it, the request is refused. Most cases have a control: the same request by the rightful owner has to work, so
that a case is not held only because the request was broken. If a server has no such function and the control cannot
work, the case is *not applicable* and is not counted.

A case has the *kind* of the gravest thing that happened: *read* and *changed* (the separation is broken), *called
out*, *distinguishable* (the answer reveals that an object of B's exists), *accepted* (what should be refused was
done, within A's own workspace), *internals shown*, *5xx*.

The last column, if there is one, is MLflow's own server with workspaces and the basic-auth app that comes with it:
default permission `NO_PERMISSIONS`, and users with grants in their own workspace only. The same cases are sent to it,
unchanged. Read its numbers with care: many cases ask for more than it promises. It means to let tenants choose a
version's source, keep secrets, register scorers and talk to the assistant (*accepted*), and names may contain any
character. One cause can fail many cases: most of its failures under 20 are one, that it answers 500 to any
`Authorization` that is not Basic.
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
