"""``hokusai audit``: the audit trail, searched, exported and followed."""

from __future__ import annotations

import csv
import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

import hokusai
from hokusai.actions import Action, SubjectType
from hokusai.cli import output
from hokusai.cli.options import readable_by
from hokusai.identity import parse_moment

if TYPE_CHECKING:
    from hokusai.client.audit import Audit, AuditFilter

_SHOWN, _FOLLOWED = 100, 10
#: With one of these in front a spreadsheet takes a cell for a formula, and what is in the trail comes from strangers.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_INTERRUPTED = 130

_COLUMNS = ("AT (UTC)", "STATUS", "ACTION", "SUBJECT", "TIMES", "KEY", "USER", "WORKSPACE", "FROM", "REQUEST")


def _action(text: str | None) -> str | None:
    if text is not None and text not in set(Action):
        raise typer.BadParameter(f"known actions are {', '.join(Action)}")
    return text


def _actions() -> list[str]:
    return [str(one) for one in Action]


_time = readable_by(parse_moment)


def audit(
    *,
    workspace: Annotated[
        str | None, typer.Option(help="Only rows of this workspace.", show_default="your key's; for an operator, all")
    ] = None,
    key: Annotated[str | None, typer.Option(metavar="KEY_ID", help="Only requests with this key.")] = None,
    user: Annotated[str | None, typer.Option(help="Only requests with keys of this user.")] = None,
    subject: Annotated[
        str | None,
        typer.Option(
            help="Only requests about this: churn, churn/3, churn@champion, a path or an id; or with its type, such as "
            f"model:churn ({', '.join(SubjectType)})."
        ),
    ] = None,
    action: Annotated[
        str | None,
        typer.Option(
            callback=_action, autocompletion=_actions, help="Only requests for this, such as key.create or alias.set."
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", callback=_time, help="Only from this time on: ISO 8601, or how long ago, such as 2h or 7d."
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", callback=_time, help="Only before this time, likewise.")
    ] = None,
    request: Annotated[
        str | None, typer.Option(metavar="REQUEST_ID", help="Only the request with this id, which every error shows.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=1_000_000,
            help="Print only the newest N rows; 0: all.",
            metavar="N",
            show_default="100; with --json and --csv, all",
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Print rows as they are written, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on each line.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, with a line of names first.")] = False,
) -> None:
    """Search the audit trail: who changed, downloaded or was refused what, oldest first.

    An operator key sees all rows; a workspace's admin key those of its workspace.

    [bold]Example:[/bold] hokusai audit --subject churn --since 7d
    """
    if as_json and as_csv:
        raise typer.BadParameter("give one of --json and --csv", param_hint="--csv")
    if follow and until:
        raise typer.BadParameter("it cannot be given with --follow, which has no end", param_hint="--until")
    which: AuditFilter = {
        "workspace": workspace,
        "key": key,
        "user": user,
        "subject": subject,
        "action": action,
        "since": since,
        "until": until,
        "request_id": request,
    }
    with hokusai.Client() as client:
        if as_json or as_csv:
            _export(_rows(client.audit, which, follow=follow, limit=limit or 0), as_csv=as_csv)
        elif follow:
            _follow(client.audit.follow(last=_FOLLOWED if limit is None else limit, **which))
        else:
            _table(client.audit, which, _SHOWN if limit is None else limit)


def _rows(trail: Audit, which: AuditFilter, *, follow: bool, limit: int) -> Iterable[hokusai.AuditRow]:
    if follow:
        return trail.follow(last=limit or _FOLLOWED, **which)
    return trail.last(limit, **which) if limit else trail.rows(**which)


def _export(rows: Iterable[hokusai.AuditRow], *, as_csv: bool) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if as_csv:
        writer.writerow(field.name for field in dataclasses.fields(hokusai.AuditRow))
    try:
        for row in rows:
            document = output.plain(row)
            if as_csv:
                writer.writerow(map(_cell, document.values()))
            else:
                typer.echo(json.dumps(document))
            sys.stdout.flush()
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None


def _cell(value: object) -> object:
    if isinstance(value, dict):
        return json.dumps(value)
    if isinstance(value, str):
        text = output.visible(value)
        return f"'{text}" if text.startswith(_FORMULA) else text
    return value


def _table(trail: Audit, which: AuditFilter, limit: int) -> None:
    found = trail.last(limit + 1, **which) if limit else list(trail.rows(**which))
    shown = found[-limit:] if limit else found
    output.table(_COLUMNS, map(_cells, shown), nothing="No rows fit.")
    if len(shown) < len(found):
        output.err().print(f"These are the newest {limit} rows; there are more: --limit 0, or narrow the search.")


def _follow(rows: Iterator[hokusai.AuditRow]) -> None:
    console = output.out()
    try:
        for row in rows:
            console.print("  ".join(str(output.cell(value)) for value in _cells(row)), soft_wrap=True)
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None


def _cells(row: hokusai.AuditRow) -> tuple[object, ...]:
    refused = Text(output.visible(f"{row.status} {row.code or ''}".strip()), style="red" if row.status >= 400 else "")
    subject = f"{row.subject_type} {row.subject}" if row.subject else f"{row.method} {row.path}"
    return (
        f"{row.at:%Y-%m-%d %H:%M:%S}",
        refused,
        row.action,
        subject,
        row.times if row.times > 1 else None,
        row.key_id,
        row.user_id,
        row.workspace,
        row.address,
        row.request_id,
    )
