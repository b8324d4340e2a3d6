"""What came of the rows: counted, kept as JSON, and written out as ``docs/lab.md``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from lab.catalogue import CATALOGUE
from lab.rows import ROWS, Row
from lab.run import Found

KEPT = Path(__file__).with_name("results.json")
PAGE = Path(__file__).parent.parent / "docs" / "lab.md"
#: The least share of rows whose first-named fault is the planted one.
FIRST = 0.9

_INTRO = """# How well the doctor knows

Written by `make lab ARGS=--write`; do not edit. For every fault the lab builds a small deployment with
exactly that fault from real parts (nginx and HAProxy as Debian packages them, MLflow 2.9.2 and 3.17,
PostgreSQL, Redis, a bucket spoken to over S3, certificates, small disks) and runs `hokusai doctor` at it
from another process, with nothing but a URL, keys and, where the row says so, a log. What it names is
compared with what was planted; at the healthy deployments it may find nothing.
"""


@dataclass(frozen=True)
class Kept:
    """What the page tells of one row. ``missing`` is why it was not built."""

    named: list[str]
    seconds: float
    missing: str
    measured: str


@dataclass(frozen=True)
class Score:
    """How many rows came out how; ``first`` and ``second`` are places of the planted fault, 1 and at most 2."""

    broken: int
    first: int
    second: int
    healthy: int
    findings: int

    @property
    def good(self) -> bool:
        return self.first >= FIRST * self.broken and self.second == self.broken and not self.findings

    def __str__(self) -> str:
        return (
            f"{self.broken} broken deployments: the planted fault named first in {self.first}, among the first two in "
            f"{self.second}. {self.healthy} healthy ones: {self.findings} with findings."
        )


def score(rows: Iterable[tuple[Row, Kept]]) -> Score:
    built = [(row, kept) for row, kept in rows if not kept.missing]
    places = [_place(row, kept) for row, kept in built if row.fault]
    healthy = [kept for row, kept in built if not row.fault]
    return Score(
        broken=len(places),
        first=places.count(1),
        second=places.count(1) + places.count(2),
        healthy=len(healthy),
        findings=sum(bool(kept.named) for kept in healthy),
    )


def _place(row: Row, kept: Kept) -> int:
    return kept.named.index(row.fault) + 1 if row.fault in kept.named else 0


def kept_of(found: Found) -> Kept:
    # A healthy row without a diagnosis that did not end with 0 left something unproven.
    named = list(found.named) or (["unproven"] if found.code and not found.row.fault else [])
    return Kept(named, round(found.seconds, 1), found.missing, datetime.now(UTC).strftime("%Y-%m-%d"))


def read() -> dict[str, Kept]:
    """The last result of each row there is."""
    names = {row.name for row in ROWS}
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    return {name: Kept(**facts) for name, facts in kept.items() if name in names}


def keep(found: Iterable[Found]) -> None:
    """These in the place of their rows' last results, and the page anew."""
    kept = read() | {one.row.name: kept_of(one) for one in found if not one.broke}
    ordered = {row.name: asdict(kept[row.name]) for row in ROWS if row.name in kept}
    KEPT.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(page(read()))


def page(kept: Mapping[str, Kept]) -> str:
    rows = [(row, kept[row.name]) for row in ROWS if row.name in kept]
    return "\n".join([_INTRO, *_totals(rows), *_by_catalogue(rows), *_healthy(rows), *_remarks(rows)]) + "\n"


def _totals(rows: list[tuple[Row, Kept]]) -> Iterator[str]:
    real = {row.fault for row, kept in rows if not kept.missing and not row.instead}
    built = sum(any(fault in real for fault in faults) for faults in CATALOGUE)
    days = sorted({kept.measured for _, kept in rows})
    yield f"**{score(rows)}** {built} of the {len(CATALOGUE)} kinds of fault are built as they happen.\n"
    yield f"Measured {' to '.join(dict.fromkeys((days[0], days[-1])))}.\n" if days else ""


def _by_catalogue(rows: list[tuple[Row, Kept]]) -> Iterator[str]:
    yield "## Planted and named\n"
    yield "| # | planted | deployment | named first | and then | seconds |\n| --- | --- | --- | --- | --- | --- |"
    for number, faults in enumerate((*CATALOGUE, _others(rows)), 1):
        for row, kept in sorted((one for one in rows if one[0].fault in faults), key=lambda one: one[0].fault):
            place = str(number) if number <= len(CATALOGUE) else "–"
            yield f"| {place} | {_link(row.fault)} | {row.title} | {_named(row, kept)} | {kept.seconds:g} |"
    yield ""


def _others(rows: list[tuple[Row, Kept]]) -> tuple[str, ...]:
    """Faults that the catalogue does not have."""
    known = {fault for faults in CATALOGUE for fault in faults} | {""}
    return tuple(row.fault for row, _ in rows if row.fault not in known)


def _link(fault: str) -> str:
    return f"[{fault}](reference/faults/{fault}.md)"


def _named(row: Row, kept: Kept) -> str:
    if kept.missing:
        return f"not built: {kept.missing} | –"
    first = kept.named[0] if kept.named else "nothing"
    return f"{first if first == row.fault else f'**{first}**'} | {', '.join(kept.named[1:3]) or '–'}"


def _healthy(rows: list[tuple[Row, Kept]]) -> Iterator[str]:
    yield "## Nothing planted\n"
    yield "| deployment | named | seconds |\n| --- | --- | --- |"
    for row, kept in rows:
        if not row.fault:
            yield f"| {row.title} | {kept.missing or ', '.join(kept.named) or 'nothing'} | {kept.seconds:g} |"
    yield ""


def _remarks(rows: list[tuple[Row, Kept]]) -> Iterator[str]:
    yield "## What is played, not built\n"
    yield from (f"- `{row.fault}`, {row.title}: {row.instead}." for row, _ in rows if row.instead)
