"""Restoring a backup: all of it is compared with its digests before anything is written."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hokusai import data_directory, disk, errors, restore_mark
from hokusai.artifacts import Written, store_at
from hokusai.artifacts.ledger import NAMES_IN_PATH, artifacts
from hokusai.auth import fingerprint
from hokusai.backup import databases, files
from hokusai.backup.databases import Copy
from hokusai.backup.files import OnArtifact
from hokusai.backup.manifest import ARTIFACTS, NAME, Manifest, digest
from hokusai.database import Database
from hokusai.quota import pending, use
from hokusai.restore_mark import RestoreMark
from hokusai.settings import Settings

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class _File:
    """An artifact in the backup; ``row`` is the key of its record, where it has one."""

    key: str
    size: int
    sha256: str
    row: tuple[str, str] | None = None


async def check(directory: Path, *, on_artifact: OnArtifact = files.ignore) -> Manifest:
    """Compare every byte of a backup with its digests. Raises ``errors.BackupUnreadable`` or ``BackupDamaged``."""
    manifest = Manifest.read(directory)
    await asyncio.to_thread(_compare, manifest, directory)
    if "hokusai" in manifest.databases:
        store = files.store_in(directory)

        async def compare(file: _File) -> None:
            found = await files.digest(store, file.key)
            if found != file.sha256:
                raise _damaged(f"{ARTIFACTS}/{file.key}", found)
            on_artifact(file.key, file.size)

        try:
            await files.each(_files(manifest, directory), compare)
        finally:
            await store.close()
    return manifest


async def restore(settings: Settings, directory: Path, *, on_artifact: OnArtifact = files.ignore) -> Manifest:
    """Restore a backup into an empty installation, or where a restore of it did not finish. No server may be running.

    Our database becomes visible last. Until then it has a mark, with which no server starts (``restore_mark.py``).
    Raises what ``check`` raises, ``errors.RestoreIntoUse``, ``RestoreElsewhere``, ``PepperChanged``, ``DatabaseNewer``,
    ``RestoreUnfinished`` or another ``StartError`` or ``Unavailable``.
    """
    manifest = Manifest.read(directory)
    copies = list(databases.copies(settings))
    with data_directory.opened(settings.data):
        _refuse_misfit(manifest, copies, settings)
        began = await asyncio.to_thread(_write_mark, copies, _mark(settings, copies, directory))
        try:
            await check(directory)
            if settings.role != "auth" and settings.store_url not in began:
                await _refuse_files(settings)
        except BaseException:
            if not began:  # nothing was written, now or before
                await asyncio.to_thread(copies[-1].remove_mark)
            raise
        records = await _copy_files(settings, manifest, directory, on_artifact) if settings.role != "auth" else []
        await asyncio.to_thread(disk.sync_names, settings.data)
        for copy in copies:
            await asyncio.to_thread(_load, copy, manifest, directory, records, again=copy.place in began)
    return manifest


def _mark(settings: Settings, copies: list[Copy], directory: Path) -> RestoreMark:
    store = () if settings.role == "auth" else (settings.store_url,)
    places = (*(copy.place for copy in copies), *store)
    return RestoreMark(str(directory.absolute()), digest(directory / NAME), places)


def _write_mark(copies: list[Copy], mark: RestoreMark) -> tuple[str, ...]:
    """Returns the places in which a restore of the same backup did not finish. All others are empty."""
    before = copies[-1].mark()
    if before is not None and before.manifest != mark.manifest:
        raise errors.RestoreUnfinished(backup=before.backup)
    began = before.places if before is not None else ()
    for copy in copies:
        if copy.place not in began:
            copy.refuse_used()
    copies[-1].write_mark(mark)
    return began


def _load(copy: Copy, manifest: Manifest, directory: Path, records: list[dict[str, Any]], *, again: bool) -> None:
    if again:
        copy.clear()
    finish = _updating(records, manifest.deleted) if copy.name == "hokusai" else _unchanged
    copy.load(directory / copy.name, manifest.databases[copy.name], finish)


def _compare(manifest: Manifest, directory: Path) -> None:
    for name, expected in manifest.files.items():
        file = directory / name
        found = digest(file) if file.is_file() else None
        if found != expected:
            raise _damaged(name, found)


def _damaged(name: str, found: str | None) -> errors.BackupDamaged:
    reason = "its bytes are not those that were written" if found else "it is missing"
    return errors.BackupDamaged(file=name, reason=reason)


def _files(manifest: Manifest, directory: Path) -> Iterator[_File]:
    for artifact in manifest.expected(directory):
        yield _File(artifact.key, artifact.size, artifact.sha256, (artifact.workspace, artifact.path))
    for key, (size, sha256) in manifest.unrecorded.items():
        yield _File(key, size, sha256)


def _refuse_misfit(manifest: Manifest, copies: list[Copy], settings: Settings) -> None:
    configured = {copy.name: copy.kind for copy in copies}
    saved = {name: part.kind for name, part in manifest.databases.items()}
    for name in sorted({*configured, *saved}):
        if configured.get(name) != saved.get(name):
            setting = "HOKUSAI_DATABASE_URL" if name == "hokusai" else "HOKUSAI_TRACKING_DATABASE_URL"
            raise errors.RestoreElsewhere(
                part=name, saved=saved.get(name, "none"), configured=configured.get(name, "none"), setting=setting
            )
    Database(settings.own_database_url).refuse_newer(manifest.databases["hokusai"].revision)
    if manifest.pepper and not hmac.compare_digest(manifest.pepper, fingerprint(settings.pepper)):
        raise errors.PepperChanged()


async def _copy_files(
    settings: Settings, manifest: Manifest, directory: Path, on_artifact: OnArtifact
) -> list[dict[str, Any]]:
    """Copy the artifacts into the store. Returns the new values for their records."""
    records: list[dict[str, Any]] = []
    async with files.started(store_at(settings.store_url)) as target:
        source = files.store_in(directory)

        async def copy(file: _File) -> None:
            written = await files.copy(source, target, file.key, file.sha256)
            if not isinstance(written, Written):
                raise _damaged(f"{ARTIFACTS}/{file.key}", file.sha256 if written else None)
            on_artifact(file.key, file.size)
            if file.row:
                records.append(_record(file.row, written))

        try:
            await files.each(_files(manifest, directory), copy)
        finally:
            await source.close()
    return records


async def _refuse_files(settings: Settings) -> None:
    async with files.started(store_at(settings.store_url)) as target, aclosing(target.list("workspaces")) as pages:
        async for page in pages:
            if page:
                raise errors.RestoreIntoUse(place="the artifact store (HOKUSAI_ARTIFACTS_URL)")


def _record(row: tuple[str, str], written: Written) -> dict[str, Any]:
    facts: dict[str, str | int | datetime] = {"size": written.size, "sha256": written.sha256}
    return {"its_workspace": row[0], "its_path": row[1], **facts, "created_at": written.created}


def _unchanged(_connection: sa.Connection) -> None: ...


def _updating(records: list[dict[str, Any]], deleted: Sequence[str]) -> databases.Finish:
    """Updates the records to the files as they are stored now, drops all holds, and counts the use again.

    With that, nothing is missing any more: the mark goes away too.
    """
    here = (artifacts.c.workspace == sa.bindparam("its_workspace"), artifacts.c.path == sa.bindparam("its_path"))
    values: dict[str, Any] = {name: sa.bindparam(name) for name in ("size", "sha256", "created_at")}
    # It was compared with its digest just now, and has its own name.
    values |= {name: None for name in ("damaged", "staged") if name in artifacts.c}
    gone = [
        {"its_workspace": workspace, "its_path": path} for _, workspace, path in (key.split("/", 2) for key in deleted)
    ]
    mine = artifacts.c.workspace == use.c.workspace
    total = sa.select(sa.func.coalesce(sa.func.sum(artifacts.c.size), 0)).where(mine).scalar_subquery()
    count = sa.select(sa.func.count()).select_from(artifacts).where(mine).scalar_subquery()
    names = sa.select(sa.func.coalesce(sa.func.sum(NAMES_IN_PATH), 0)).where(mine).scalar_subquery()

    def finish(connection: sa.Connection) -> None:
        for batch in _batches(records):
            connection.execute(sa.update(artifacts).where(*here).values(values), batch)
        for batch in _batches(gone):
            connection.execute(sa.delete(artifacts).where(*here), batch)
        connection.execute(sa.delete(pending))
        connection.execute(sa.update(use).values(bytes=total, files=count, names=names))
        restore_mark.remove(connection)

    return finish


def _batches(records: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    left = iter(records)
    while batch := list(islice(left, _BATCH)):
        yield batch
