"""The manifest of a backup, and the digests with which its files are compared."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hokusai import disk, errors

FORMAT = 1
NAME = "manifest.json"
#: The manifest until the backup is whole.
UNFINISHED = NAME + ".part"
LEDGER = "artifacts.jsonl"
ARTIFACTS = "artifacts"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One line of ``artifacts.jsonl``, from the ledger. ``sha256`` is in hexadecimal."""

    workspace: str
    path: str
    size: int
    sha256: str

    @property
    def key(self) -> str:
        return f"workspaces/{self.workspace}/{self.path}"


@dataclass(frozen=True, slots=True)
class Part:
    """One database. ``tables`` has the columns of each table's file; it is empty for a SQLite file."""

    kind: str
    revision: str | None
    tables: Mapping[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """``files`` has the SHA-256 of every file except the artifacts, whose digests are in ``artifacts.jsonl``.

    ``replaced``: artifacts that were overwritten while the backup ran, by key, with size and SHA-256 of what is in the
    backup. ``deleted``: artifacts that were deleted meanwhile; they are in the ledger and not in the backup.
    ``unrecorded``: files that are not in the ledger. ``lacking``: artifacts that should be in the backup and are not,
    and why. ``pepper`` is the fingerprint of the pepper with which the keys were stored.
    """

    hokusai: str
    at: str
    databases: Mapping[str, Part]
    files: Mapping[str, str]
    artifacts: int = 0
    bytes: int = 0
    replaced: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    unrecorded: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    lacking: Mapping[str, str] = field(default_factory=dict)
    deleted: Sequence[str] = ()
    pepper: str | None = None
    format: int = FORMAT

    def write(self, directory: Path) -> None:
        """Make the directory a backup. All other files are on the disk by then, and this one appears whole."""
        part = directory / UNFINISHED
        part.write_text(json.dumps(dataclasses.asdict(self), indent=1))
        disk.sync(part)
        for one in (path for path in directory.iterdir() if path.is_dir()):
            disk.sync(one)
        disk.sync_names(directory)
        part.rename(directory / NAME)
        disk.sync(directory)

    @classmethod
    def read(cls, directory: Path) -> Manifest:
        """Raises ``errors.BackupUnreadable``."""
        if (directory / UNFINISHED).exists():
            raise errors.BackupUnreadable(path=directory, reason=f"it did not finish, and has no {NAME}")
        try:
            found = json.loads((directory / NAME).read_text())
            if found["format"] != FORMAT:
                raise errors.BackupUnreadable(path=directory, reason=f"its format is {found['format']}, not {FORMAT}")
            found["databases"] = {name: Part(**part) for name, part in found["databases"].items()}
            for name in ("replaced", "unrecorded"):
                found[name] = {key: (size, sha256) for key, (size, sha256) in found[name].items()}
            return cls(**found)
        except OSError as error:
            raise errors.BackupUnreadable(path=directory, reason=f"{NAME}: {errors.reason_of(error)}") from None
        except (ValueError, KeyError, TypeError):
            raise errors.BackupUnreadable(path=directory, reason=f"{NAME} was not written by hokusai backup") from None

    def expected(self, directory: Path) -> Iterator[Artifact]:
        """Each artifact that is in the ledger and in the backup, as it is in the backup."""
        absent = {*self.lacking, *self.deleted}
        for artifact in recorded(directory):
            if artifact.key not in absent:
                size, sha256 = self.replaced.get(artifact.key, (artifact.size, artifact.sha256))
                yield dataclasses.replace(artifact, size=size, sha256=sha256)


def recorded(directory: Path) -> Iterator[Artifact]:
    with (directory / LEDGER).open() as lines:
        for line in lines:
            yield Artifact(**json.loads(line))


def digests(directory: Path) -> dict[str, str]:
    """The SHA-256 of every file below, except the artifacts and the manifest. Each file is synced to the disk."""
    found = {}
    for file in sorted(directory.rglob("*")):
        name = str(file.relative_to(directory))
        if file.is_file() and not name.startswith((ARTIFACTS + "/", NAME)):
            found[name] = digest(file)
            disk.sync(file)
    return found


def digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def line(artifact: Any) -> str:
    return json.dumps(dataclasses.asdict(artifact)) + "\n"
