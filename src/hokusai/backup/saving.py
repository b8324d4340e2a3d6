"""Making a backup."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from hokusai import __version__, errors
from hokusai.artifacts import ArtifactStore, Ledger, Place, Stat, Written, store_at
from hokusai.artifacts.ledger import artifacts
from hokusai.auth.tables import installation
from hokusai.backup import databases, files
from hokusai.backup.files import OnArtifact
from hokusai.backup.manifest import LEDGER, UNFINISHED, Artifact, Manifest, Part, digests, line, recorded
from hokusai.database import Database
from hokusai.settings import Settings

#: Seconds between looks at files that are missing or are not as recorded. A record is committed a moment before its
#: file has its own name, and deleted after the file, a bucket's many files even seconds after: only what stays like
#: this has been lost.
_PAUSES = (0.1, 0.4, 1.5, 4.0)


async def back_up(settings: Settings, directory: Path, *, on_artifact: OnArtifact = files.ignore) -> Manifest:
    """Copy everything that this installation stores into a new directory. The server may be running.

    Artifacts that the store has lost, or whose bytes have changed in it, are in the manifest's ``lacking``. Raises
    ``errors.BackupPlaceTaken``, ``BackupUnfinished`` or ``BackupUnwritable``, ``errors.DatabaseUnreachable``,
    ``RestoreUnfinished``, ``ArtifactStoreUnusable`` or ``errors.Unavailable``.
    """
    await asyncio.to_thread(_refuse_unfinished, settings)
    with _made(directory):
        manifest = await asyncio.to_thread(_databases, settings, directory)
        if settings.role != "auth" and not _never_served(settings, directory):
            manifest = await _artifacts(settings, directory, manifest, on_artifact)
        manifest.write(directory)
    return manifest


def _refuse_unfinished(settings: Settings) -> None:
    """What a restore has left half done is not to be backed up."""
    *_, ours = databases.copies(settings)
    if mark := ours.mark():
        raise errors.RestoreUnfinished(backup=mark.backup)


@contextmanager
def _made(directory: Path) -> Iterator[None]:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if (directory / UNFINISHED).exists():
            raise errors.BackupUnfinished(path=directory)
        if any(directory.iterdir()):
            raise errors.BackupPlaceTaken(path=directory)
        (directory / UNFINISHED).touch()
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


def _never_served(settings: Settings, directory: Path) -> bool:
    """Whether there is no store yet, which the first server makes. One that is missing later is an error."""
    store = settings.data / "artifacts"
    return settings.artifacts_url is None and not store.exists() and not any(recorded(directory))


async def _artifacts(settings: Settings, directory: Path, manifest: Manifest, on_artifact: OnArtifact) -> Manifest:
    database = Database(settings.own_database_url)
    try:
        async with (
            files.opened(store_at(settings.store_url)) as source,
            files.started(files.store_in(directory)) as target,
        ):
            return await _Copier(source, target, Ledger(database), on_artifact).copy(directory, manifest)
    except errors.ArtifactStoreFull as error:  # only the backup is written to
        raise errors.BackupUnwritable(path=directory, reason="no space is left") from error
    finally:
        await database.close()


class _Copier:
    """Copies the files, after the databases. The server may replace or delete files meanwhile, which is not a fault.

    A file that is not as recorded is looked at again, after the others and after each of ``_PAUSES``.
    """

    def __init__(self, source: ArtifactStore, target: ArtifactStore, ledger: Ledger, on_artifact: OnArtifact) -> None:
        self._source = source
        self._target = target
        self._ledger = ledger
        self._on_artifact = on_artifact
        self._known: set[str] = set()
        self._read: dict[str, Stat] = {}  # files that were read and are not as recorded
        self._records: dict[str, set[str]] = {}  # of files that are not as recorded: each digest that was recorded
        self._count = self._bytes = 0
        self._replaced: dict[str, tuple[int, str]] = {}
        self._unrecorded: dict[str, tuple[int, str]] = {}
        self._lacking: dict[str, str] = {}
        self._deleted: list[str] = []

    async def copy(self, directory: Path, manifest: Manifest) -> Manifest:
        """Returns ``manifest`` with what was copied."""
        left = await self._copy_recorded(recorded(directory))
        for pause in _PAUSES:
            if left:
                await asyncio.sleep(pause)
                left = await self._copy_recorded(left)
        await files.each(left, self._copy_or_lack)
        others = [key async for key in files.walk(self._source, "workspaces") if key not in self._known]
        await files.each(others, self._copy_unrecorded)
        return replace(
            manifest,
            artifacts=self._count,
            bytes=self._bytes,
            replaced=self._replaced,
            unrecorded=self._unrecorded,
            lacking=self._lacking,
            deleted=self._deleted,
        )

    async def _copy_recorded(self, rows: Iterable[Artifact]) -> list[Artifact]:
        """Those that are not as recorded, and were not copied."""
        left: list[Artifact] = []

        async def copy(artifact: Artifact) -> None:
            self._known.add(artifact.key)
            copied = await self._is_new(artifact) and await self._copied(artifact, artifact.sha256)
            if not (copied or await self._settled(artifact)):
                left.append(artifact)

        await files.each(rows, copy)
        return left

    async def _settled(self, artifact: Artifact) -> bool:
        """Whether the file was replaced, and is copied now; was deleted; or cannot be in a backup."""
        now = await self._ledger.find(Place(artifact.key, artifact.workspace, artifact.path))
        if now is None:
            self._deleted.append(artifact.key)
            return True
        self._records.setdefault(artifact.key, set()).add(now.sha256)
        if artifact.key in self._lacking:
            return True
        return now.sha256 != artifact.sha256 and await self._copied(artifact, now.sha256)

    async def _is_new(self, artifact: Artifact) -> bool:
        """Whether the file is not one that was read before: a large damaged one is not read again and again."""
        before = self._read.get(artifact.key)
        now = await self._source.stat(artifact.key) if before else None
        return now is None or before is None or (now, now.version) != (before, before.version)

    async def _copy_or_lack(self, artifact: Artifact) -> None:
        """A file that was replaced at each look is copied as it is now. Any other one is missing or damaged."""
        key, replaced_again = artifact.key, len(self._records[artifact.key]) > 1
        if replaced_again and await self._copied(artifact, None):
            return
        found = await self._source.stat(key)
        reason = "its bytes are not the ones that were stored" if found else "it is missing from the store"
        self._lacking.setdefault(key, reason)

    async def _copied(self, artifact: Artifact, sha256: str | None) -> bool:
        found = await self._copy(artifact.key, sha256)
        if isinstance(found, Written) and found.sha256 != artifact.sha256:
            self._replaced[artifact.key] = (found.size, found.sha256)
        elif isinstance(found, Stat):
            self._read[artifact.key] = found
        return isinstance(found, Written)

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
