"""``hokusai workspaces``: the outside teams."""

from __future__ import annotations

from typing import Annotated

import typer

from hokusai.cli import output
from hokusai.client import Client
from hokusai.identity import Workspace

app = typer.Typer(no_args_is_help=True, help="Make, show, suspend and resume workspaces (with an operator key).")

Name = Annotated[str, typer.Argument(help="The workspace's name.")]


@app.command()
def create(name: Name, as_json: output.Json = False) -> None:
    """Make a workspace for one outside team.

    [bold]Example:[/bold] hokusai workspaces create acme
    """
    with Client() as client:
        workspace = client.workspaces.create(name)
    if as_json:
        output.document(workspace)
        return
    output.out().print(workspace.name if output.piped() else f"Made the workspace {workspace.name}. Its first key:")
    if not output.piped():
        output.out().print(f"  hokusai keys create --workspace {workspace.name} --name NAME")


@app.command("list")
def list_(as_json: output.Json = False) -> None:
    """List all workspaces."""
    with Client() as client:
        found = client.workspaces.list()
    if as_json:
        output.document({"workspaces": found})
        return
    rows = ((one.name, _state(one), one.created_at) for one in found)
    output.table(("NAME", "STATE", "MADE"), rows, nothing="No workspaces yet: hokusai workspaces create NAME")


@app.command()
def show(name: Name, as_json: output.Json = False) -> None:
    """Show one workspace."""
    with Client() as client:
        _print(client.workspaces.get(name), as_json)


@app.command()
def suspend(name: Name, as_json: output.Json = False) -> None:
    """Refuse every key of a workspace until it is resumed. Nothing is removed."""
    with Client() as client:
        _print(client.workspaces.suspend(name), as_json)


@app.command()
def resume(name: Name, as_json: output.Json = False) -> None:
    """Let the keys of a suspended workspace work again."""
    with Client() as client:
        _print(client.workspaces.resume(name), as_json)


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
        )
    )


def _state(workspace: Workspace) -> str:
    return "suspended" if workspace.suspended_at else "active"
