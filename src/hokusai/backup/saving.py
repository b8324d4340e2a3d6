"""Making a backup."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from hokusai import __version__, errors
from hokusai.artifacts import ArtifactStore, Ledger, Place, Record, Stat, Written, store_at
from hokusai.artifacts.ledger import artifacts
from hokusai.auth.tables import installation
from hokusai.backup import databases, files
from hokusai.backup.files import OnArtifact
from hokusai.backup.manifest import LEDGER, Artifact, Manifest, Part, digests, line, recorded
from hokusai.database import Database
from hokusai.settings import Settings

#: Seconds between looks at the ledger, where a file was replaced and its record is not committed yet.
_COMMIT_PAUSES = (0.1, 0.4, 1.5)


async def back_up(settings: Settings, directory: Path, *, on_artifact: OnArtifact = files.ignore) -> Manifest:
    """Copy everything that this installation stores into a new directory. The server may be running.

    Artifacts that the store has lost, or whose bytes have changed in it, are in the manifest's ``lacking``. Raises
    ``errors.BackupPlaceTaken`` or ``BackupUnwritable``, ``errors.DatabaseUnreachable``,
    ``errors.ArtifactStoreUnusable`` or ``errors.Unavailable``.
    """
    with _made(directory):
        manifest = await asyncio.to_thread(_databases, settings, directory)
        if settings.role != "auth":
            manifest = await _artifacts(settings, directory, manifest, on_artifact)
        manifest.write(directory)
    return manifest


@contextmanager
def _made(directory: Path) -> Iterator[None]:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if any(directory.iterdir()):
            raise errors.BackupPlaceTaken(path=directory)
        yield
    except FileExistsError:
        raise errors.BackupPlaceTaken(path=directory) from None
    except OSError as error:
        raise files.unwritable(directory, error) from error


def _databases(settings: Settings, directory: Path) -> Manifest:
    parts: dict[str, Part] = {}
    at = datetime.now(UTC).isoformat(timespec="seconds")
    with ExitStack() as stack:
        for copy in databases.copies(settings):
            connection, parts[copy.name] = stack.enter_context(copy.save(directory / copy.name))
        pepper = connection.execute(sa.select(installation.c.pepper_fingerprint)).scalar()
        _write_ledger(connection, directory)
    return Manifest(__version__, at, parts, digests(directory), pepper=pepper)


def _write_ledger(connection: sa.Connection, directory: Path) -> None:
    """As of the same moment as the copy of the database."""
    columns = (artifacts.c.workspace, artifacts.c.path, artifacts.c.size, artifacts.c.sha256)
    rows = connection.execution_options(stream_results=True).execute(sa.select(*columns).order_by(*columns[:2]))
    with (directory / LEDGER).open("w") as stream:
        stream.writelines(line(Artifact(*row)) for row in rows)


async def _artifacts(settings: Settings, directory: Path, manifest: Manifest, on_artifact: OnArtifact) -> Manifest:
    database = Database(settings.own_database_url)
    try:
        async with (
            files.started(store_at(settings.store_url)) as source,
            files.started(files.store_in(directory)) as target,
        ):
            return await _Copier(source, target, Ledger(database), on_artifact).copy(directory, manifest)
    except errors.ArtifactStoreFull as error:  # only the backup is written to
        raise errors.BackupUnwritable(path=directory, reason="no space is left") from error
    finally:
        await database.close()


class _Copier:
    """Copies the files, after the databases. The server may replace or delete files meanwhile, which is noticed."""

    def __init__(self, source: ArtifactStore, target: ArtifactStore, ledger: Ledger, on_artifact: OnArtifact) -> None:
        self._source = source
        self._target = target
        self._ledger = ledger
        self._on_artifact = on_artifact
        self._known: set[str] = set()
        self._count = self._bytes = 0
        self._replaced: dict[str, tuple[int, str]] = {}
        self._unrecorded: dict[str, tuple[int, str]] = {}
        self._lacking: dict[str, str] = {}

    async def copy(self, directory: Path, manifest: Manifest) -> Manifest:
        """Returns ``manifest`` with what was copied."""
        await files.each(recorded(directory), self._copy_recorded)
        others = [key async for key in files.walk(self._source, "workspaces") if key not in self._known]
        await files.each(others, self._copy_unrecorded)
        return replace(
            manifest,
            artifacts=self._count,
            bytes=self._bytes,
            replaced=self._replaced,
            unrecorded=self._unrecorded,
            lacking=self._lacking,
        )

    async def _copy_recorded(self, artifact: Artifact) -> None:
        key = artifact.key
        self._known.add(key)
        found = await self._copy(key, artifact.sha256)
        if isinstance(found, Written):
            return
        now = await self._record_now(artifact, replaced=found is not None)
        if now is not None and now.sha256 != artifact.sha256:
            await self._copy_replacement(key, now.sha256)
        elif now is None:
            self._lacking.setdefault(key, "it was deleted while the backup ran")
        else:
            reason = "its bytes are not the ones that were stored" if found else "it is missing from the store"
            self._lacking.setdefault(key, reason)

    async def _record_now(self, artifact: Artifact, *, replaced: bool) -> Record | None:
        """What the ledger says now. Where other bytes are stored, their record may be about to be committed."""
        place = Place(artifact.key, artifact.workspace, artifact.path)
        now = await self._ledger.find(place)
        for pause in _COMMIT_PAUSES:
            if not replaced or now is None or now.sha256 != artifact.sha256:
                break
            await asyncio.sleep(pause)
            now = await self._ledger.find(place)
        return now

    async def _copy_replacement(self, key: str, sha256: str) -> None:
        found = await self._copy(key, sha256)
        if isinstance(found, Written):
            self._replaced[key] = (found.size, found.sha256)
        else:
            self._lacking[key] = "it was replaced more than once while the backup ran"

    async def _copy_unrecorded(self, key: str) -> None:
        """A file that was not in the ledger then: it was uploaded since, or its record was lost in a crash."""
        _, workspace, path = key.split("/", 2)
        if await self._ledger.find(Place(key, workspace, path)) is None:
            found = await self._copy(key, None)
            if isinstance(found, Written):
                self._unrecorded[key] = (found.size, found.sha256)

    async def _copy(self, key: str, sha256: str | None) -> Written | Stat | None:
        try:
            found = await files.copy(self._source, self._target, key, sha256)
        except errors.ArtifactPathTaken as error:  # a bucket may have a file and a directory of one name
            self._lacking[key] = str(error)
            return None
        if isinstance(found, Written):
            self._count += 1
            self._bytes += found.size
            self._on_artifact(key, found.size)
        return found
