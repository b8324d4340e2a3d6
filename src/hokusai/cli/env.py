"""``hokusai env``: connecting stock MLflow."""

from __future__ import annotations

import shlex

import typer

import hokusai
from hokusai.cli import output


def env(as_json: output.Json = False) -> None:
    """Print the two variables with which stock MLflow uses this server.

    [bold]Example:[/bold] eval "$(hokusai env)" && python train.py
    """
    with hokusai.Client() as client:
        found = client.env()
    if as_json:
        output.document(found)
        return
    for name, value in found.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
