"""Downloading the files of a model version: all of them, verified, or none."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hokusai import errors
from hokusai.client.artifacts import STORE, Artifacts, RemoteFile
from hokusai.client.connection import Connection
from hokusai.client.models import Models
from hokusai.client.progress_meter import Meter
from hokusai.client.registration import not_ready
from hokusai.client.values import ModelVersion, OnProgress

#: Files that a refusal names.
_NAMED = 10


class Fetching:
    """Downloads a version next to the target directory, and renames it when it is complete."""

    def __init__(self, connection: Connection, models: Models) -> None:
        self._connection = connection
        self._models = models

    def fetch(self, uri: str, directory: Path, progress: OnProgress | None) -> Path:
        version = self._models.find(uri)
        if version.status != "READY":
            raise not_ready(version)
        with _appearing(directory) as scratch:
            store = Artifacts(self._connection)
            files = tuple(store.files(self._place(version)))
            if not files:
                raise errors.VersionNotReady(name=version.name, version=version.version, reason="it has no files")
            meter = Meter(sum(file.size for file in files), progress)
            for number, file in enumerate(files):
                target = scratch / file.name
                target.parent.mkdir(parents=True, exist_ok=True)
                if not store.fetch(file.path, target, meter.of(file.name)):
                    raise _without_digest(store, file, files[number + 1 :])
        return directory

    def _place(self, version: ModelVersion) -> str:
        """The path of the files in the store. Files outside it are not fetched: the key would be sent there too."""
        location = self._models.location(version)
        path = location.removeprefix(STORE)
        if path == location or path.startswith("/"):
            raise errors.ArtifactsElsewhere(uri=version.uri, scheme=location.partition(":")[0])
        return path.rstrip("/")


def _without_digest(store: Artifacts, first: RemoteFile, rest: Sequence[RemoteFile]) -> errors.DigestMissing:
    """The refusal, which names the files."""
    names = [first.name, *(file.name for file in rest if not store.has_digest(file.path))]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return errors.DigestMissing(count=len(names), files=", ".join(map(repr, names[:_NAMED])) + more)


@contextmanager
def _appearing(directory: Path) -> Iterator[Path]:
    """A directory next to the target, which becomes the target after the block. After an error it is removed."""
    try:
        target = directory.resolve()
        _check_free(target, directory)
        scratch = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        scratch.mkdir()
        try:
            yield scratch
            if target.exists():
                target.rmdir()
            scratch.rename(target)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
    except OSError as error:
        raise errors.TargetUnusable(path=directory, reason=errors.reason_of(error).lower()) from None


def _check_free(target: Path, named: Path) -> None:
    if target == Path.cwd():
        raise errors.TargetUnusable(path=named, reason="it is the current directory")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise errors.TargetUnusable(path=named, reason="it exists and is not an empty directory")
