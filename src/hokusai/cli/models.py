"""``hokusai register``, ``hokusai pull`` and ``hokusai models``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

import hokusai
from hokusai import errors
from hokusai.cli import output

app = typer.Typer(no_args_is_help=True, help="List and show the registered models in your workspace.")


def register(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH", help="A model directory (with an MLmodel file), or any other directory or file."
        ),
    ],
    name: Annotated[str, typer.Option(help="The name of the registered model.")],
    description: Annotated[str, typer.Option(help="What is new in this version.", show_default=False)] = "",
    as_json: output.Json = False,
) -> None:
    """Upload a model as the next version of a registered model, which is created if necessary.

    In a pipe, it prints only the URI of the version.

    [bold]Example:[/bold] hokusai register model/ --name churn
    """
    left = "A version was created only if every file had been sent"
    with _interruptible(left), hokusai.Client() as client, output.progress("Sending") as progress:
        version = client.register(path, name, description=description, progress=progress)
    if as_json:
        output.document(_document(version))
    elif output.piped():
        output.out().print(version.uri)
    else:
        output.out().print(f"Registered {output.visible(version.name)} version {version.version} ({version.status}).")
        output.out().print(f'  mlflow.pyfunc.load_model("{output.visible(version.uri)}")')


def pull(
    uri: Annotated[
        str, typer.Argument(metavar="URI", help="models:/NAME/VERSION, models:/NAME/latest or models:/NAME@ALIAS.")
    ],
    directory: Annotated[
        Path, typer.Argument(metavar="DIRECTORY", help="Where to put the files: a new or an empty directory.")
    ],
    as_json: output.Json = False,
) -> None:
    """Download the files of a version, and verify each with its recorded digest.

    The directory appears when it is complete, or not at all: also where a file has no recorded digest.

    [bold]Example:[/bold] hokusai pull models:/churn/3 churn-3/
    """
    with _interruptible("Nothing was kept"), hokusai.Client() as client, output.progress("Downloading") as progress:
        found = client.pull(uri, directory, progress=progress)
    if as_json:
        output.document({"uri": uri, "path": found})
    else:
        output.out().print(str(found) if output.piped() else f"Downloaded {uri} into {found}.")


@contextmanager
def _interruptible(left: str) -> Iterator[None]:
    """Ctrl-C ends the command with a message that says what is ``left``."""
    try:
        yield
    except KeyboardInterrupt:
        raise errors.TransferStopped(left=left) from None


@app.command("list")
def list_(as_json: output.Json = False) -> None:
    """List the registered models."""
    with hokusai.Client() as client:
        found = client.models.list()
    if as_json:
        output.document({"models": found})
        return
    rows = ((one.name, one.latest, _aliases(one), one.updated_at, one.description) for one in found)
    columns = ("NAME", "LATEST", "ALIASES", "CHANGED", "DESCRIPTION")
    output.table(columns, rows, nothing="No models yet: hokusai register PATH --name NAME")


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the registered model.")],
    as_json: output.Json = False,
) -> None:
    """Show a registered model and its versions, newest first."""
    with hokusai.Client() as client:
        model, versions = client.models.get(name), client.models.versions(name)
    if as_json:
        output.document(dataclasses.asdict(model) | {"versions": [_document(one) for one in versions]})
        return
    output.facts(
        (
            ("name", model.name),
            ("description", model.description),
            ("created", model.created_at),
            ("changed", model.updated_at),
            ("aliases", _aliases(model)),
            ("tags", tuple(f"{key}={value}" for key, value in model.tags.items())),
        )
    )
    rows = ((one.version, one.status, one.created_at, one.run_id, one.description) for one in versions)
    output.table(("VERSION", "STATUS", "CREATED", "RUN", "DESCRIPTION"), rows, nothing="No versions yet.")


def _aliases(model: hokusai.Model) -> tuple[str, ...]:
    return tuple(f"{alias}={version}" for alias, version in model.aliases.items())


def _document(version: hokusai.ModelVersion) -> dict[str, Any]:
    return {"uri": version.uri} | dataclasses.asdict(version)
