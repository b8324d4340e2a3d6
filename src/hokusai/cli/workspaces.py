"""``hokusai workspaces``: the outside teams."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Annotated

import typer

import hokusai
from hokusai.cli import output
from hokusai.identity import Quota, Use, Workspace, parse_rate, parse_size

app = typer.Typer(no_args_is_help=True, help="Make, show, bound, suspend and delete workspaces (with an operator key).")

_DEFAULT = "default"


def _bound(parse: Callable[[str], int]) -> Callable[[str | None], str | None]:
    """A callback that complains while the command line is read."""

    def check(value: str | None) -> str | None:
        try:
            _ = value is None or value == _DEFAULT or parse(value)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        return value

    return check


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise ValueError("write a number, or default")
    return int(text)


def _option(metavar: str, parse: Callable[[str], int], text: str) -> typer.models.OptionInfo:
    found: typer.models.OptionInfo = typer.Option(
        metavar=metavar, callback=_bound(parse), help=f"{text}; 'default' is the server's bound."
    )
    return found


Name = Annotated[str, typer.Argument(help="The workspace's name.")]
MaxBytes = Annotated[str | None, _option("SIZE", parse_size, "The most bytes of artifacts, like 10GiB")]
MaxFiles = Annotated[str | None, _option("N", _number, "The most artifacts")]
MaxModels = Annotated[str | None, _option("N", _number, "The most registered models")]
Rate = Annotated[str | None, _option("RATE", parse_rate, "Requests by all its keys, like 1000/h")]


@app.command()
def create(
    *,
    name: Name,
    max_bytes: MaxBytes = None,
    max_files: MaxFiles = None,
    max_models: MaxModels = None,
    rate: Rate = None,
    as_json: output.Json = False,
) -> None:
    """Make a workspace for one outside team.

    [bold]Example:[/bold] hokusai workspaces create acme
    """
    with hokusai.Client() as client:
        workspace = client.workspaces.create(name, **_quota(max_bytes, max_files, max_models, rate))
    if as_json:
        output.document(workspace)
        return
    output.out().print(workspace.name if output.piped() else f"Made the workspace {workspace.name}. Its first key:")
    if not output.piped():
        output.out().print(f"  hokusai keys create --workspace {workspace.name} --name NAME")


@app.command("list")
def list_(as_json: output.Json = False) -> None:
    """List all workspaces."""
    with hokusai.Client() as client:
        found = client.workspaces.list()
    if as_json:
        output.document({"workspaces": found})
        return
    rows = ((one.name, _state(one), one.created_at) for one in found)
    output.table(("NAME", "STATE", "MADE"), rows, nothing="No workspaces yet: hokusai workspaces create NAME")


@app.command()
def show(name: Name, as_json: output.Json = False) -> None:
    """Show one workspace, what it may have and what it has."""
    with hokusai.Client() as client:
        _print(client.workspaces.get(name), as_json)


@app.command("set")
def set_(
    *,
    name: Name,
    max_bytes: MaxBytes = None,
    max_files: MaxFiles = None,
    max_models: MaxModels = None,
    rate: Rate = None,
    as_json: output.Json = False,
) -> None:
    """Set what a workspace may have. What is not named stays as it is.

    [bold]Example:[/bold] hokusai workspaces set acme --max-bytes 10GiB --max-models 20
    """
    quota = _quota(max_bytes, max_files, max_models, rate)
    if not quota:
        raise typer.BadParameter("name a bound to set: --max-bytes, --max-files, --max-models or --rate")
    with hokusai.Client() as client:
        _print(client.workspaces.set(name, **quota), as_json)


@app.command()
def delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """End a workspace for good: all its keys are revoked at once.

    Its models, runs and files stay where they are, out of everybody's reach, until the operator purges
    them. Its name is never given out again. This cannot be undone; to keep a team out for a while, suspend it.
    """
    if not yes:
        _confirm(name)
    with hokusai.Client() as client:
        found = client.workspaces.delete(name)
    if as_json:
        output.document(found)
    else:
        output.out().print(f"Deleted the workspace {found.name} and revoked its keys. What it stored is still there.")


@app.command()
def suspend(name: Name, as_json: output.Json = False) -> None:
    """Refuse every key of a workspace until it is resumed. Nothing is removed."""
    with hokusai.Client() as client:
        _print(client.workspaces.suspend(name), as_json)


@app.command()
def resume(name: Name, as_json: output.Json = False) -> None:
    """Let the keys of a suspended workspace work again."""
    with hokusai.Client() as client:
        _print(client.workspaces.resume(name), as_json)


def _confirm(name: str) -> None:
    """On a terminal, by the name itself. A script says ``--yes``."""
    if not sys.stdin.isatty():
        raise typer.BadParameter("this cannot be undone: say --yes where nobody can be asked", param_hint="--yes")
    output.err().print(f"This revokes every key of {output.visible(name)} and cannot be undone.")
    if typer.prompt("Type the workspace's name to go on", err=True) != name:
        raise typer.Abort()


def _quota(size: str | None, files: str | None, models: str | None, rate: str | None) -> dict[str, int | None]:
    """What was named, as ``client.workspaces.set`` takes it."""
    given = {
        "bytes": (size, parse_size),
        "files": (files, _number),
        "models": (models, _number),
        "requests_per_hour": (rate, parse_rate),
    }
    return {
        name: None if text == _DEFAULT else parse(text) for name, (text, parse) in given.items() if text is not None
    }


def _print(workspace: Workspace, as_json: bool) -> None:
    if as_json:
        output.document(workspace)
        return
    output.facts(
        (
            ("name", workspace.name),
            ("state", _state(workspace)),
            ("made", workspace.created_at),
            ("suspended", workspace.suspended_at),
            ("deleted", workspace.deleted_at),
            *_room(workspace.quota, workspace.use),
        )
    )


def _room(quota: Quota, use: Use | None) -> Iterator[tuple[str, object]]:
    for name in ("bytes", "files", "models"):
        bound = getattr(quota, name)
        most = "the server's bound" if bound is None else f"{bound:,}"
        yield name, f"{getattr(use, name):,} of {most}" if use else f"at most {most}"
    rate = quota.requests_per_hour
    yield "rate", "the server's" if rate is None else f"{rate:,}/h"


def _state(workspace: Workspace) -> str:
    if workspace.deleted_at:
        return "deleted"
    return "suspended" if workspace.suspended_at else "active"
