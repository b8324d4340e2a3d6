"""``hokusai workspaces``: the outside teams."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import typer

import hokusai
from hokusai.cli import output
from hokusai.cli.options import option_groups, readable_by
from hokusai.identity import ALIAS, Quota, Use, Workspace, parse_rate, parse_size

app = typer.Typer(no_args_is_help=True, help="Create, show, limit, suspend and delete workspaces (operators only).")

_DEFAULT = "default"


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise ValueError("write a number, or default")
    return int(text)


def _option(metavar: str, parse: Callable[[str], int], text: str) -> typer.models.OptionInfo:
    found: typer.models.OptionInfo = typer.Option(
        metavar=metavar, callback=readable_by(parse, also=_DEFAULT), help=f"{text}; 'default' for the server's limit."
    )
    return found


Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the workspace.")]


@dataclass(frozen=True)
class Limits:
    """The limits that the command line names."""

    max_bytes: Annotated[str | None, _option("SIZE", parse_size, "Most bytes of artifacts, such as 10GiB")] = None
    max_files: Annotated[str | None, _option("N", _number, "Most artifacts")] = None
    max_models: Annotated[str | None, _option("N", _number, "Most registered models")] = None
    rate: Annotated[str | None, _option("RATE", parse_rate, "Requests by all its keys, such as 1000/h")] = None

    def quota(self) -> dict[str, int | None]:
        """As arguments of ``client.workspaces.set``."""
        given = {
            "bytes": (self.max_bytes, parse_size),
            "files": (self.max_files, _number),
            "models": (self.max_models, _number),
            "requests_per_hour": (self.rate, parse_rate),
        }
        return {
            name: None if text == _DEFAULT else parse(text) for name, (text, parse) in given.items() if text is not None
        }


_NONE = "none"


def _alias_list(text: str | None) -> str | None:
    for alias in _aliases(text) or ():
        if re.fullmatch(ALIAS, alias) is None:
            raise typer.BadParameter("aliases are letters, digits, '_' and '-', separated by commas")
    return text


def _aliases(text: str | None) -> list[str] | None:
    if text is None:
        return None
    return [] if text == _NONE else [alias.strip() for alias in text.split(",")]


Protected = Annotated[
    str | None,
    typer.Option(
        "--protected-aliases",
        metavar="ALIAS,…",
        callback=_alias_list,
        help="Aliases of models that only a key with models:promote sets, moves and removes; 'none' for none.",
    ),
]


@app.command()
@option_groups
def create(name: Name, limits: Limits, protected_aliases: Protected = None, as_json: output.Json = False) -> None:
    """Create a workspace for one outside team.

    [bold]Example:[/bold] hokusai workspaces create acme --max-bytes 10GiB
    """
    with hokusai.Client() as client:
        workspace = client.workspaces.create(
            name, protected_aliases=_aliases(protected_aliases) or (), **limits.quota()
        )
    if as_json:
        output.document(workspace)
        return
    if output.piped():
        output.out().print(workspace.name)
        return
    output.out().print(f"Created the workspace {workspace.name}. To create its first key:")
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
    output.table(("NAME", "STATE", "CREATED"), rows, nothing="No workspaces yet: hokusai workspaces create NAME")


@app.command()
def show(name: Name, as_json: output.Json = False) -> None:
    """Show a workspace, its limits and what it uses."""
    with hokusai.Client() as client:
        _print(client.workspaces.get(name), as_json)


@app.command("set")
@option_groups
def set_(name: Name, limits: Limits, protected_aliases: Protected = None, as_json: output.Json = False) -> None:
    """Set limits and protected aliases of a workspace. What you do not name stays as it is.

    [bold]Examples:[/bold] hokusai workspaces set acme --max-bytes 10GiB --max-models 20,
    hokusai workspaces set acme --protected-aliases production,champion
    """
    quota, aliases = limits.quota(), _aliases(protected_aliases)
    if not quota and aliases is None:
        limit = "--max-bytes, --max-files, --max-models, --rate"
        raise typer.BadParameter(f"name what to set: {limit} or --protected-aliases")
    with hokusai.Client() as client:
        _print(client.workspaces.set(name, protected_aliases=aliases, **quota), as_json)


@app.command()
def delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    as_json: output.Json = False,
) -> None:
    """Delete a workspace for good, and revoke all its keys at once.

    Its models, runs and files stay in the storage, where nobody can reach them, until the operator removes them. Its
    name is never used again. This cannot be undone; to lock a team out for a while, suspend its workspace.

    [bold]Example:[/bold] hokusai workspaces delete acme
    """
    if not yes:
        _confirm(name)
    with hokusai.Client() as client:
        found = client.workspaces.delete(name)
    text = f"Deleted the workspace {found.name} and revoked its keys. Its files are still in the storage."
    output.result(found, as_json, text=text)


@app.command()
def suspend(name: Name, as_json: output.Json = False) -> None:
    """Refuse every key of a workspace until it is resumed. Nothing is deleted."""
    with hokusai.Client() as client:
        _print(client.workspaces.suspend(name), as_json)


@app.command()
def resume(name: Name, as_json: output.Json = False) -> None:
    """Accept the keys of a suspended workspace again."""
    with hokusai.Client() as client:
        _print(client.workspaces.resume(name), as_json)


def _confirm(name: str) -> None:
    """Ask for the name on a terminal. Scripts use ``--yes``."""
    if not sys.stdin.isatty():
        raise typer.BadParameter("this cannot be undone: confirm with --yes in a script", param_hint="--yes")
    output.err().print(f"This revokes every key of {output.visible(name)} and cannot be undone.")
    if typer.prompt("Type the name of the workspace to confirm", err=True) != name:
        raise typer.Abort()


def _print(workspace: Workspace, as_json: bool) -> None:
    if as_json:
        output.document(workspace)
        return
    output.facts(
        (
            ("name", workspace.name),
            ("state", _state(workspace)),
            ("created", workspace.created_at),
            ("suspended", workspace.suspended_at),
            ("deleted", workspace.deleted_at),
            *_limits(workspace.quota, workspace.use),
            ("protected aliases", workspace.protected_aliases or "none"),
        )
    )


def _limits(quota: Quota, use: Use | None) -> Iterator[tuple[str, object]]:
    for name in ("bytes", "files", "models"):
        limit = getattr(quota, name)
        text = "the server's limit" if limit is None else f"{limit:,}"
        yield name, f"{getattr(use, name):,} of {text}" if use else f"at most {text}"
    if use:
        yield "in MLflow", f"{use.tracking_bytes:,} bytes, of the same quota"
        yield "names", f"{use.names:,} in the paths of files"
    rate = quota.requests_per_hour
    yield "rate", "the server's limit" if rate is None else f"{rate:,}/h"


def _state(workspace: Workspace) -> str:
    if workspace.deleted_at:
        return "deleted"
    return "suspended" if workspace.suspended_at else "active"
