"""``hokusai doctor``: proves that a deployment works, or names what is broken."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hokusai import errors
from hokusai.cli import output

if TYPE_CHECKING:
    from hokusai.doctor import Report, Target

_NOT_REACHED = 3


def _only(text: str | None) -> str | None:
    from hokusai.doctor import CHECKS, chosen

    try:
        chosen(CHECKS, text.split(",") if text else ())
    except KeyError as error:
        raise typer.BadParameter(f"there is no check or group {error}; see: hokusai doctor --list") from None
    return text


Kind = Literal["hokusai", "mlflow"]
_Url = Annotated[
    str | None,
    typer.Argument(help="The deployment's URL; with --kind mlflow, the tracking URI.", show_default="HOKUSAI_URL"),
]
_AuthUrl = Annotated[
    str | None, typer.Option(help="The auth service's URL, if it has a host of its own.", show_default=False)
]
_Kind = Annotated[Kind, typer.Option(help="What to examine: Hokusai, or a plain MLflow server.")]
_Version = Annotated[str | None, typer.Option(help="The version that should be running.", show_default=False)]
_TrackingUrl = Annotated[
    str | None,
    typer.Option(help="MLflow's own address, which must not be reachable from here.", show_default=False),
]
_HttpPort = Annotated[int, typer.Option(min=1, max=65535, help="The host's port for plain HTTP.")]
_Log = Annotated[
    Path | None,
    typer.Option(help="A file with the server's log, as more evidence; - is standard input.", show_default=False),
]
_Python = Annotated[
    str | None, typer.Option(help="A Python interpreter that has the MLflow client to try.", show_default="this one")
]
_Only = Annotated[
    str | None,
    typer.Option(metavar="ID,…", callback=_only, help="Run only these checks or groups, and what they need."),
]
_List = Annotated[bool, typer.Option("--list", help="List the checks and exit.")]
_JUnit = Annotated[Path | None, typer.Option(help="Write a JUnit XML report to this file.", show_default=False)]
_Markdown = Annotated[
    Path | None, typer.Option(help="Write a Markdown report for a ticket to this file.", show_default=False)
]


def doctor(
    *,
    url: _Url = None,
    auth_url: _AuthUrl = None,
    kind: _Kind = "hokusai",
    expect_version: _Version = None,
    tracking_url: _TrackingUrl = None,
    http_port: _HttpPort = 80,
    log: _Log = None,
    python: _Python = None,
    only: _Only = None,
    list_: _List = False,
    junit: _JUnit = None,
    markdown: _Markdown = None,
    as_json: output.Json = False,
) -> None:
    """Prove that a deployment works end to end, or name the broken layer, the cause and what to run next.

    Set the key in HOKUSAI_API_KEY. With an operator key in HOKUSAI_OPERATOR_KEY, more is checked. What
    the doctor creates, it removes again. Exits with 0 if no check failed and none was skipped that the
    proof needs.

    [bold]Example:[/bold] hokusai doctor https://registry.example.org --markdown report.md
    """
    from hokusai.cli import doctor_view
    from hokusai.client.connection import checked_key, checked_url
    from hokusai.doctor import Target, markdown_report

    if list_:
        doctor_view.print_checks(as_json)
        return
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
    report = _examined(target, only, as_json)
    _write(junit, report.junit())
    _write(markdown, markdown_report.markdown(report))
    if not report.ok:
        raise typer.Exit(1 if report.reached else _NOT_REACHED)


def _examined(target: Target, only: str | None, as_json: bool) -> Report:
    """Run the checks, and print the report."""
    from hokusai.cli import doctor_view
    from hokusai.doctor import CHECKS, chosen, examine

    checks = chosen(CHECKS, only.split(",")) if only else CHECKS
    with doctor_view.progress(shown=not as_json) as observe:
        report = asyncio.run(examine(target, checks, observe=observe))
    if as_json:
        output.document(report.document())
    else:
        doctor_view.print_report(report)
    return report


def _url(given: str | None, kind: Kind) -> str:
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
