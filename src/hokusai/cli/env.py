"""``hokusai env``: the variables that connect stock MLflow to a server."""

from __future__ import annotations

import shlex

import typer

import hokusai
from hokusai.cli import output


def env(as_json: output.Json = False) -> None:
    """Print the two environment variables that connect stock MLflow to this server.

    The second one is your key, so do not print it into a log.

    [bold]Example:[/bold] eval "$(hokusai env)" && python train.py
    """
    with hokusai.Client() as client:
        found = client.env()
    if as_json:
        output.document(found)
        return
    for name, value in found.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
