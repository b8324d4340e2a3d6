"""``hokusai backup`` and ``hokusai restore``: run on the server's machine, with the server's settings."""

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
from hokusai.cli.options import Data, server_extra

if TYPE_CHECKING:
    from hokusai.backup import Manifest
    from hokusai.settings import Settings


def backup(
    directory: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="The directory to create for this backup.")],
    data: Data = None,
    as_json: output.Json = False,
) -> None:
    """Copy the databases and all artifacts into a new directory, and verify every artifact.

    The server may be running. Set the same environment variables as for hokusai serve. A backup contains neither the
    pepper (HOKUSAI_KEY_PEPPER) nor the operator key: keep both with your other secrets.

    [bold]Example:[/bold] hokusai backup /backups/hokusai-2026-11-23
    """
    with server_extra(), _progress("Backing up") as on_artifact:
        from hokusai.backup import back_up

        settings = _settings(data)
        manifest = asyncio.run(back_up(settings, directory, on_artifact=on_artifact))
    _show(manifest, directory, as_json, done="Backed up into")
    if not as_json:
        for note in _notes(settings, manifest):
            output.err().print(note)
    if manifest.lacking:
        key, reason = next(iter(manifest.lacking.items()))
        raise errors.BackupLacking(count=len(manifest.lacking), key=key, reason=reason)


def restore(
    directory: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="A directory that hokusai backup created.")],
    data: Data = None,
    check: Annotated[bool, typer.Option("--check", help="Only verify the backup, and restore nothing.")] = False,
    as_json: output.Json = False,
) -> None:
    """Restore a backup into an empty data directory, database and artifact store.

    Every byte is verified before anything is written. Set the environment variables that hokusai serve will have.

    [bold]Example:[/bold] hokusai restore /backups/hokusai-2026-11-23 --data /srv/hokusai
    """
    with server_extra(), _progress("Checking" if check else "Restoring") as on_artifact:
        from hokusai import backup

        if check:
            manifest = asyncio.run(backup.check(directory, on_artifact=on_artifact))
        else:
            manifest = asyncio.run(backup.restore(_settings(data), directory, on_artifact=on_artifact))
    _show(manifest, directory, as_json, done="Verified" if check else "Restored from")


def _settings(data: Path | None) -> Settings:
    from hokusai import settings

    return settings.load(data=data)


@contextmanager
def _progress(verb: str) -> Iterator[Any]:
    """A callback that shows each artifact on a terminal."""
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
        counts["deleted"] = len(manifest.deleted)
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
        yield "Not in the backup: HOKUSAI_KEY_PEPPER. Without it, none of the keys in this backup will work."
    yield "Not in the backup: the operator key, only its digest. A restored server does not create a new one."
    if settings.role != "auth" and "mlflow" not in manifest.databases:
        yield "Not in the backup: the database of the MLflow at HOKUSAI_TRACKING_URL. Back it up first, where it is."
