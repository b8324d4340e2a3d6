"""How results and errors are printed.

On a terminal: tables, colours, a progress bar. In a pipe: the same text without decoration, and where a command creates
one thing, only that. With ``--json``: one document on stdout. Errors are always text on stderr, so that stdout has the
result or nothing; the exit code tells why.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

import hokusai
from hokusai import apikey, errors

if TYPE_CHECKING:
    from hokusai.client.values import OnProgress

#: The option every command has.
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]

#: Columns in a pipe, where nothing is wrapped.
_UNWRAPPED = 100_000
_HINT_LENGTH = 12  # of a key: as much as the server shows of it


def piped() -> bool:
    """Whether stdout is a pipe or a file."""
    return not sys.stdout.isatty()


def out() -> Console:
    return Console(width=_UNWRAPPED if piped() else None, highlight=False, markup=False)


def err() -> Console:
    return Console(stderr=True, width=None if sys.stderr.isatty() else _UNWRAPPED, highlight=False, markup=False)


def document(value: object) -> None:
    """Print one JSON document, in ASCII: so no locale breaks it, and no terminal interprets it."""
    typer.echo(json.dumps(value, default=_plain_value, indent=2))


def plain(value: object) -> dict[str, Any]:
    """A value of the SDK as a JSON object."""
    found: dict[str, Any] = json.loads(json.dumps(value, default=_plain_value))
    return found


def result(value: object, as_json: bool, *, text: str) -> None:
    """Print what a command returned: as a document, or as one line of text."""
    if as_json:
        document(value)
    else:
        out().print(text)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, nothing: str) -> None:
    """Print rows under a heading; where there are none, print ``nothing`` on stderr."""
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        grid.add_column(column)
    for row in rows:
        grid.add_row(*map(cell, row))
    if grid.row_count:
        print_grid(grid, out())
    else:
        err().print(nothing)


def facts(pairs: Iterable[tuple[str, object]], console: Console | None = None) -> None:
    """Print a name and a value on each line."""
    print_grid(_grid(pairs), console or out())


def cell(value: object) -> Text:
    """A value for people; times are in UTC."""
    if value is None or value in ((), ""):
        return Text("-", style="dim")
    if isinstance(value, datetime):
        return Text(f"{value:%Y-%m-%d %H:%M} UTC")
    if isinstance(value, tuple):
        return Text(visible(", ".join(map(str, value))))
    return value if isinstance(value, Text) else Text(visible(str(value)))


def visible(text: str) -> str:
    """The text, with every character that a terminal would interpret or hide escaped: names come from strangers."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def complain(error: errors.HokusaiError) -> None:
    """Print an error on stderr: code and message, what to do, and the request id for the operator."""
    console = err()
    console.print(Text.assemble((error.code, "bold red"), "  ", (visible(str(error)), "bold")))
    facts(_advice(error), console)


def _advice(error: errors.HokusaiError) -> Iterator[tuple[str, object]]:
    if error.advice:
        yield "  what to do", error.advice
    if error.status == 401 or isinstance(error, errors.ClientError):
        yield from _caller()
    if isinstance(error, hokusai.ApiError):
        yield "  request id", error.request_id


def _caller() -> Iterator[tuple[str, object]]:
    """Which key was sent to which server: most wrong keys belong to another server."""
    key, url = os.environ.get("HOKUSAI_API_KEY", "").strip(), os.environ.get("HOKUSAI_URL", "").strip()
    if key:
        known = apikey.is_prefixed(key)
        yield "  your key", f"{key[:_HINT_LENGTH]}… (HOKUSAI_API_KEY)" if known else "the text in HOKUSAI_API_KEY"
    if url and "@" not in url:
        yield "  server", f"{url} (HOKUSAI_URL)"


def _grid(pairs: Iterable[tuple[str, object]]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for name, value in pairs:
        grid.add_row(Text(name), cell(value))
    return grid


def print_grid(grid: Table, console: Console) -> None:
    """Print a table, without spaces at the ends of lines in a pipe."""
    if console.is_terminal:
        console.print(grid)
        return
    with console.capture() as captured:
        console.print(grid)
    # Cells are padded with spaces, which scripts do not expect at the end of a line.
    console.file.writelines(line.rstrip() + "\n" for line in captured.get().splitlines())


@contextmanager
def progress(verb: str) -> Iterator[OnProgress | None]:
    """A progress bar on stderr, while a transfer runs. None where stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    name = TextColumn("{task.description}", markup=False)
    columns = (name, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Bar(*columns, console=err(), transient=True) as bar:
        task = bar.add_task(verb, total=None)

        def advance(step: hokusai.Progress) -> None:
            bar.update(task, description=f"{verb} {visible(step.file)}", completed=step.done, total=step.total)

        yield advance


def _plain_value(value: object) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
