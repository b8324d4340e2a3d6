"""The results of the rows: counted, saved as JSON, and written to ``docs/lab.md``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from lab.catalogue import CATALOGUE
from lab.rows import ROWS, Row
from lab.run import Found

RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).parent.parent / "docs" / "lab.md"
#: In at least this share of the rows, the planted fault must be named first.
MIN_FIRST = 0.9

_INTRO = """# How reliable the doctor's diagnosis is

Written by `make lab ARGS=--write`; do not edit. For every fault, the lab builds a small deployment with
exactly that fault from real parts: nginx and HAProxy from Debian, MLflow 2.9.2 and 3.17, PostgreSQL, Redis,
an S3 server, certificates, small disks. It runs `hokusai doctor` at it in another process, with only a
URL, keys and, where the row says so, a log. The faults that the doctor names are compared with the planted
one; in the healthy deployments it must find nothing.
"""


@dataclass(frozen=True)
class Measurement:
    """What the page says about one row. ``not_built`` is why it was not built."""

    named: list[str]
    seconds: float
    not_built: str
    date: str


@dataclass(frozen=True)
class Score:
    """How many rows had which result: the planted fault was named ``first``, or among the first two (``second``)."""

    broken: int
    first: int
    second: int
    healthy: int
    findings: int

    @property
    def good(self) -> bool:
        return self.first >= MIN_FIRST * self.broken and self.second == self.broken and not self.findings

    def __str__(self) -> str:
        return (
            f"{self.broken} broken deployments: the planted fault named first in {self.first}, among the first two in "
            f"{self.second}. {self.healthy} healthy ones: {self.findings} with findings."
        )


def score(rows: Iterable[tuple[Row, Measurement]]) -> Score:
    built = [(row, measured) for row, measured in rows if not measured.not_built]
    places = [_rank(row, measured) for row, measured in built if row.fault]
    healthy = [measured for row, measured in built if not row.fault]
    return Score(
        broken=len(places),
        first=places.count(1),
        second=places.count(1) + places.count(2),
        healthy=len(healthy),
        findings=sum(bool(measured.named) for measured in healthy),
    )


def _rank(row: Row, measured: Measurement) -> int:
    return measured.named.index(row.fault) + 1 if row.fault in measured.named else 0


def measurement_of(found: Found) -> Measurement:
    # A healthy deployment without a diagnosis, where the doctor did not exit with 0: something was not proven.
    named = list(found.named) or (["unproven"] if found.code and not found.row.fault else [])
    return Measurement(named, round(found.seconds, 1), found.not_built, datetime.now(UTC).strftime("%Y-%m-%d"))


def load() -> dict[str, Measurement]:
    """The last measurement of each row."""
    names = {row.name for row in ROWS}
    measured = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return {name: Measurement(**facts) for name, facts in measured.items() if name in names}


def save(found: Iterable[Found]) -> None:
    """Replace the last measurements of these rows, and write the page."""
    measured = load() | {one.row.name: measurement_of(one) for one in found if not one.lab_error}
    ordered = {row.name: asdict(measured[row.name]) for row in ROWS if row.name in measured}
    RESULTS.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(page(load()))


def page(measured: Mapping[str, Measurement]) -> str:
    rows = [(row, measured[row.name]) for row in ROWS if row.name in measured]
    return "\n".join([_INTRO, *_totals(rows), *_by_catalogue(rows), *_healthy(rows), *_remarks(rows)]) + "\n"


def _totals(rows: list[tuple[Row, Measurement]]) -> Iterator[str]:
    real = {row.fault for row, measured in rows if not measured.not_built and not row.stand_in}
    built = sum(any(fault in real for fault in faults) for faults in CATALOGUE)
    days = sorted({measured.date for _, measured in rows})
    yield f"**{score(rows)}** {built} of the {len(CATALOGUE)} kinds of fault are built for real.\n"
    yield f"Measured {' to '.join(dict.fromkeys((days[0], days[-1])))}.\n" if days else ""


def _by_catalogue(rows: list[tuple[Row, Measurement]]) -> Iterator[str]:
    yield "## Planted and named\n"
    yield "| # | planted | deployment | named first | and then | seconds |\n| --- | --- | --- | --- | --- | --- |"
    for number, faults in enumerate((*CATALOGUE, _others(rows)), 1):
        for row, measured in sorted((one for one in rows if one[0].fault in faults), key=lambda one: one[0].fault):
            place = str(number) if number <= len(CATALOGUE) else "–"
            yield f"| {place} | {_link(row.fault)} | {row.title} | {_named(row, measured)} | {measured.seconds:g} |"
    yield ""


def _others(rows: list[tuple[Row, Measurement]]) -> tuple[str, ...]:
    """Faults that the catalogue does not have."""
    known = {fault for faults in CATALOGUE for fault in faults} | {""}
    return tuple(row.fault for row, _ in rows if row.fault not in known)


def _link(fault: str) -> str:
    return f"[{fault}](reference/faults/{fault}.md)"


def _named(row: Row, measured: Measurement) -> str:
    if measured.not_built:
        return f"not built: {measured.not_built} | –"
    first = measured.named[0] if measured.named else "nothing"
    return f"{first if first == row.fault else f'**{first}**'} | {', '.join(measured.named[1:3]) or '–'}"


def _healthy(rows: list[tuple[Row, Measurement]]) -> Iterator[str]:
    yield "## Nothing planted\n"
    yield "| deployment | named | seconds |\n| --- | --- | --- |"
    for row, measured in rows:
        if not row.fault:
            named = measured.not_built or ", ".join(measured.named) or "nothing"
            yield f"| {row.title} | {named} | {measured.seconds:g} |"
    yield ""


def _remarks(rows: list[tuple[Row, Measurement]]) -> Iterator[str]:
    yield "## What is simulated\n"
    yield from (f"- `{row.fault}`, {row.title}: {row.stand_in}." for row, _ in rows if row.stand_in)
