"""``hokusai backup`` and ``hokusai restore``: on the server's own machine, with the server's own settings."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hokusai import errors
from hokusai.cli import output

if TYPE_CHECKING:
    from hokusai.backup import Manifest
    from hokusai.settings import Settings

Data = Annotated[Path | None, typer.Option(help="The server's directory (HOKUSAI_DATA).", show_default="hokusai-data")]


def backup(
    directory: Annotated[Path, typer.Argument(help="A new directory for this backup.")],
    data: Data = None,
    as_json: output.Json = False,
) -> None:
    """Copy the databases and all artifacts into a directory, each file with its SHA-256.

    The server may be running. Set the same environment as for hokusai serve. The pepper
    (HOKUSAI_KEY_PEPPER) and the operator's key are in no backup: keep both where you keep secrets.

    [bold]Example:[/bold] hokusai backup /backups/hokusai-2026-11-23
    """
    with _server_side(), _told("Backing up") as told:
        from hokusai.backup import back_up

        settings = _settings(data)
        manifest = asyncio.run(back_up(settings, directory, told=told))
    _show(manifest, directory, as_json, done="Backed up into")
    if not as_json:
        for note in _notes(settings, manifest):
            output.err().print(note)
    if manifest.lacking:
        key, reason = next(iter(manifest.lacking.items()))
        raise errors.BackupLacking(count=len(manifest.lacking), key=key, reason=reason)


def restore(
    directory: Annotated[Path, typer.Argument(help="What hokusai backup made.")],
    data: Data = None,
    check: Annotated[bool, typer.Option("--check", help="Compare it with its digests, and restore nothing.")] = False,
    as_json: output.Json = False,
) -> None:
    """Bring a backup back, into an empty data directory, database and artifact store.

    Every byte is compared with its digest first. Set the environment that hokusai serve will have.

    [bold]Example:[/bold] hokusai restore /backups/hokusai-2026-11-23 --data /srv/hokusai
    """
    with _server_side(), _told("Checking" if check else "Restoring") as told:
        from hokusai import backup

        if check:
            manifest = asyncio.run(backup.check(directory, told=told))
        else:
            manifest = asyncio.run(backup.restore(_settings(data), directory, told=told))
    _show(manifest, directory, as_json, done="All of it is as it was written:" if check else "Restored from")


@contextmanager
def _server_side() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "hokusai":
            raise
        raise errors.ExtraMissing(module=error.name or str(error)) from None


def _settings(data: Path | None) -> Settings:
    from hokusai import settings

    return settings.load(data=data)


@contextmanager
def _told(verb: str) -> Iterator[Any]:
    """What shows each artifact on a terminal."""
    if not sys.stderr.isatty():
        yield lambda _key, _size: None
        return
    with output.err().status(f"{verb} …") as status:
        yield lambda key, _size: status.update(f"{verb} {output.visible(key)}")


def _show(manifest: Manifest, directory: Path, as_json: bool, *, done: str) -> None:
    if as_json:
        parts = {name: {"kind": part.kind, "revision": part.revision} for name, part in manifest.databases.items()}
        facts = {"path": directory, "at": manifest.at, "hokusai": manifest.hokusai, "databases": parts}
        counts = {"artifacts": manifest.artifacts, "bytes": manifest.bytes, "lacking": dict(manifest.lacking)}
        output.document({**facts, **counts})
    elif output.piped():
        output.out().print(str(directory))
    else:
        names = " and ".join(manifest.databases)
        output.out().print(
            f"{done} {directory}: the databases {names}, {manifest.artifacts:,} artifacts ({manifest.bytes:,} bytes)."
        )


def _notes(settings: Settings, manifest: Manifest) -> Iterator[str]:
    if settings.key_pepper:
        yield "Not in it: HOKUSAI_KEY_PEPPER. Without it every key of this backup is unknown."
    yield "Not in it: the operator's key. The backup knows its digest alone, and no new one is made after a restore."
    if settings.role != "auth" and "mlflow" not in manifest.databases:
        yield "Not in it: the database of the MLflow at HOKUSAI_TRACKING_URL. Back it up where it is kept, before this."
