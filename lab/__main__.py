"""``make lab``: builds every broken deployment, and shows what the doctor names.

usage: python -m lab [--fast] [--part K/N] [--write] [WORD …]
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.table import Table

from lab import report
from lab.rows import Bench
from lab.run import ROWS, Found, Row, examine

_MARKS = {1: "✓", 2: "2", 0: "✗"}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m lab", description="Build broken deployments, and show what the doctor names."
    )
    parser.add_argument("words", nargs="*", metavar="WORD", help="only rows with this fault, title or module")
    parser.add_argument("--fast", action="store_true", help="only the rows that the test suite runs")
    parser.add_argument("--part", default="1/1", metavar="K/N", help="only the K-th of N parts of the rows")
    parser.add_argument("--write", action="store_true", help="save the results, and write docs/lab.md")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the servers end with this process
    part, parts = map(int, given.part.split("/"))
    rows = [row for row in ROWS if (row.fast or not given.fast) and _wanted(row, given.words)]
    console = Console(width=150)
    found = list(_results(console, rows[len(rows) * (part - 1) // parts : len(rows) * part // parts]))
    if given.write:
        report.save(found)
    return _judge(console, found)


def _wanted(row: Row, words: Iterable[str]) -> bool:
    return not words or any(word in {row.fault, row.title, row.module} for word in words)


def _results(console: Console, rows: Iterable[Row]) -> Iterator[Found]:
    """Each row's result, printed as it comes; for a wrong one also what the checks saw."""
    bench = Bench()
    try:
        for row in rows:
            found = examine(row, bench)
            console.print(_line(found), markup=False, highlight=False, soft_wrap=True)
            for check in () if found.correct else found.failed:
                console.print(f"        {check['id']}: {check['evidence'][:400]}", markup=False, highlight=False)
            yield found
    finally:
        bench.close()


def _line(one: Found) -> str:
    mark = "!" if one.lab_error else "–" if one.not_built else "✓" if one.correct else _MARKS.get(one.rank, "✗")
    named = one.lab_error or one.not_built or ", ".join(one.named[:4]) or "nothing"
    return f"{mark} {one.seconds:5.1f} s  {one.row.fault or 'healthy':32} {one.row.title[:62]:62} → {named}"


def _judge(console: Console, found: list[Found]) -> int:
    confused = Table("planted", "named first", "row", title="Planted × named, where they differ")
    for one in found:
        if one.document and not one.correct:
            confused.add_row(one.row.fault or "healthy", one.named[0] if one.named else "nothing", one.row.title)
    if confused.row_count:
        console.print(confused)
    score = report.score((one.row, report.measurement_of(one)) for one in found if not one.lab_error)
    console.print(str(score))
    for one in found:
        if one.not_built or one.lab_error:
            console.print(f"not built: {one.row.name}: {one.not_built or one.lab_error}", markup=False)
    return 0 if score.good and not any(one.lab_error for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
