"""``hokusai doctor``: proving a deployment, or naming what is broken."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hokusai import errors
from hokusai.cli import output

if TYPE_CHECKING:
    from hokusai.doctor import Check, OnResult, Report, Result, Status

_MARKS = {"pass": Text("✓", style="bold green"), "fail": Text("✗", style="bold red"), "skip": Text("–", style="dim")}
_COUNTED: tuple[tuple[Status, str], ...] = (("pass", "passed"), ("fail", "failed"), ("skip", "skipped"))
_UNREACHED = 3


def _only(text: str | None) -> str | None:
    from hokusai.doctor import CHECKS, chosen

    try:
        chosen(CHECKS, text.split(",") if text else ())
    except KeyError as error:
        raise typer.BadParameter(f"there is no check or group {error}; see: hokusai doctor --list") from None
    return text


def doctor(
    *,
    url: Annotated[
        str | None,
        typer.Argument(help="The deployment, or with --kind mlflow a tracking URI.", show_default="HOKUSAI_URL"),
    ] = None,
    auth_url: Annotated[
        str | None, typer.Option(help="The auth service's URL, where it has a host of its own.", show_default=False)
    ] = None,
    kind: Annotated[
        Literal["hokusai", "mlflow"], typer.Option(help="What is examined: Hokusai, or a plain MLflow server.")
    ] = "hokusai",
    expect_version: Annotated[
        str | None, typer.Option(help="The version that should be running.", show_default=False)
    ] = None,
    tracking_url: Annotated[
        str | None, typer.Option(help="MLflow's own address, which nobody should reach from here.", show_default=False)
    ] = None,
    http_port: Annotated[int, typer.Option(min=1, max=65535, help="Where the host speaks plain HTTP.")] = 80,
    log: Annotated[
        Path | None,
        typer.Option(help="The server's log, as more evidence; - reads standard input.", show_default=False),
    ] = None,
    python: Annotated[
        str | None, typer.Option(help="An interpreter with the MLflow client to try.", show_default="this one")
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(metavar="ID,…", callback=_only, help="Only these checks or groups, and what they need."),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the checks and end.")] = False,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML there.", show_default=False)] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write a report to paste there.", show_default=False)] = None,
    as_json: output.Json = False,
) -> None:
    """Prove that a deployment works end to end, or name the broken layer, the cause and what to run next.

    The key is in HOKUSAI_API_KEY; with an operator key in HOKUSAI_OPERATOR_KEY it looks closer. What
    it makes it removes again. Ends with 0 if nothing failed and nothing that matters was skipped.

    [bold]Example:[/bold] hokusai doctor https://registry.example.org --markdown report.md
    """
    if list_:
        _list(as_json)
        return
    from hokusai.client.connection import checked_key, checked_url
    from hokusai.doctor import CHECKS, Target, chosen, examine, markdown_report

    target = Target(
        url=_url(url, kind),
        kind=kind,
        auth_url=checked_url(auth_url) if auth_url else None,
        key=checked_key(_variable("HOKUSAI_API_KEY", "MLFLOW_TRACKING_TOKEN" if kind == "mlflow" else None)),
        operator_key=checked_key(_variable("HOKUSAI_OPERATOR_KEY")),
        expect_version=expect_version,
        http_port=http_port,
        tracking_url=checked_url(tracking_url) if tracking_url else None,
        log=_text(log),
        python=_program(python),
    )
    checks = chosen(CHECKS, only.split(",")) if only else CHECKS
    with _watching(not as_json) as observe:
        report = asyncio.run(examine(target, checks, observe=observe))
    if as_json:
        output.document(report.document())
    else:
        _print(report)
    _write(junit, report.junit())
    _write(markdown, markdown_report.markdown(report))
    if not report.ok:
        raise typer.Exit(1 if report.reached else _UNREACHED)


def _url(given: str | None, kind: str) -> str:
    """Raises ``errors.UrlMissing`` or ``errors.UrlInvalid``. A plain server keeps its path, even ``/api/mlflow``."""
    text = given or _variable("HOKUSAI_URL", "MLFLOW_TRACKING_URI" if kind == "mlflow" else None)
    if not text:
        raise errors.UrlMissing
    from hokusai.client.connection import checked_url

    checked = checked_url(text)
    return text.strip().rstrip("/") if kind == "mlflow" else checked


def _variable(*names: str | None) -> str | None:
    return next((found for name in names if name and (found := os.environ.get(name, "").strip())), None)


def _text(log: Path | None) -> str | None:
    if log is None:
        return None
    try:
        return sys.stdin.read() if str(log) == "-" else log.read_text("utf-8", "replace")
    except OSError as error:
        raise errors.PathUnusable(path=log, reason=errors.reason_of(error)) from None


def _program(name: str | None) -> str | None:
    if name and not shutil.which(name):
        raise errors.PathUnusable(path=name, reason="there is no such program")
    return name


def _write(file: Path | None, text: str) -> None:
    if file is None:
        return
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise errors.PathUnusable(path=file, reason=errors.reason_of(error)) from None


def _list(as_json: bool) -> None:
    from hokusai.doctor import CHECKS

    if as_json:
        facts = ("id", "title", "layer", "group", "needs", "kinds")
        output.document({"checks": [{fact: getattr(check, fact) for fact in facts} for check in CHECKS]})
        return
    rows = ((one.id, one.group, one.layer, one.title) for one in CHECKS)
    output.table(("ID", "GROUP", "LAYER", "TITLE"), rows, nothing="")


@contextmanager
def _watching(wanted: bool) -> Iterator[OnResult]:
    """A table on stderr that fills up while the checks run, gone when they are done."""
    console = output.err()
    if not (wanted and console.is_terminal):
        yield lambda *_: None
        return
    from rich.live import Live

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


def _print(report: Report) -> None:
    console = output.out()
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("", "CHECK", "LAYER", "TIME", "EVIDENCE"):
        grid.add_column(column)
    for one in report.results:
        seen = one.outcome.reason if one.status == "skip" else one.outcome.evidence
        time = "" if one.status == "skip" else f"{one.seconds:.2f} s"
        grid.add_row(_MARKS[one.status], one.check.id, one.check.layer, time, Text(seen or ""))
    output.print_grid(grid, console)
    for place, named in enumerate(report.diagnosis, 1):
        _explain(console, place, named.fault.title, named.fault.id, named.fault.layer)
        output.facts(
            (("  cause", named.fault.cause), ("  what to do", named.remedy), ("  seen by", named.because)), console
        )
    for thing in report.left:
        console.print(Text(f"left behind: {thing}", style="yellow"))
    console.print(_verdict(report))


def _explain(console: Console, place: int, title: str, fault: str, layer: str) -> None:
    console.print()
    console.print(
        Text.assemble((f"{place}. {title}", "bold red" if place == 1 else "bold"), (f"  {fault}, {layer}", "dim"))
    )


def _verdict(report: Report) -> Text:
    counts = ", ".join(f"{len(report.having(status))} {word}" for status, word in _COUNTED)
    word, style = ("It works", "bold green") if report.ok else ("It does not work", "bold red")
    if not report.ok and not report.having("fail"):
        word, style = "Not proven", "bold yellow"
    return Text.assemble("\n", (f"{word}: ", style), counts + ".")
