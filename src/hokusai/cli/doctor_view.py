"""What ``hokusai doctor`` shows: the list of checks, their progress, and the report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hokusai.cli import output
from hokusai.doctor import CHECKS, Check, NamedFault, OnResult, Report, Result

_MARKS = {"pass": Text("✓", style="bold green"), "fail": Text("✗", style="bold red"), "skip": Text("–", style="dim")}


def print_checks(as_json: bool) -> None:
    if as_json:
        facts = ("id", "title", "layer", "group", "needs", "kinds")
        output.document({"checks": [{fact: getattr(check, fact) for fact in facts} for check in CHECKS]})
        return
    rows = ((one.id, one.group, one.layer, one.title) for one in CHECKS)
    output.table(("ID", "GROUP", "LAYER", "TITLE"), rows, nothing="")


@contextmanager
def progress(*, shown: bool) -> Iterator[OnResult]:
    """A table on stderr that grows while the checks run and disappears at the end."""
    console = output.err()
    if not (shown and console.is_terminal):
        yield lambda *_: None
        return
    states: dict[str, tuple[Check, Result | None]] = {}
    with Live(console=console, transient=True, refresh_per_second=8) as live:

        def observe(check: Check, result: Result | None) -> None:
            states[check.id] = check, result
            live.update(_running(states))

        yield observe


def _running(states: dict[str, tuple[Check, Result | None]]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for check, result in states.values():
        if result is None or result.status != "skip":
            mark = _MARKS[result.status] if result else Text("…", style="cyan")
            grid.add_row(mark, check.title, f"{result.seconds:5.2f} s" if result else "")
    return grid


def print_report(report: Report) -> None:
    console = output.out()
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("", "CHECK", "LAYER", "TIME", "EVIDENCE"):
        grid.add_column(column)
    for one in report.results:
        time = "" if one.status == "skip" else f"{one.seconds:.2f} s"
        grid.add_row(_MARKS[one.status], one.check.id, one.check.layer, time, Text(one.text))
    output.print_grid(grid, console)
    for number, named in enumerate(report.diagnosis, 1):
        _print_fault(console, number, named)
    for description in report.left_behind:
        console.print(Text(f"left behind: {description}", style="yellow"))
    console.print(_verdict(report))


def _print_fault(console: Console, number: int, named: NamedFault) -> None:
    fault = named.fault
    title = (f"{number}. {fault.title}", "bold red" if number == 1 else "bold")
    console.print()
    console.print(Text.assemble(title, (f"  {fault.id}, {fault.layer}", "dim")))
    facts = (("  cause", fault.cause), ("  what to do", named.remedy), ("  seen by", named.because))
    output.facts(facts, console)


def _verdict(report: Report) -> Text:
    text, style = ("It works", "bold green") if report.ok else ("It does not work", "bold red")
    if not report.ok and not report.having("fail"):
        text, style = "Not proven", "bold yellow"
    return Text.assemble("\n", (f"{text}: ", style), report.counts() + ".")
