"""Backup and restore (HK61)."""

from __future__ import annotations

from pathlib import Path

from hokusai.errors.base import BackupError


class BackupPlaceTaken(
    BackupError,
    code="HK6101",
    message="backup: {path} exists already and is not an empty directory.",
    remedy="Name a directory that does not exist yet; each backup needs its own.",
):
    path: Path


class BackupUnwritable(
    BackupError,
    code="HK6102",
    message="backup: {path} cannot be written: {reason}.",
    remedy="Free space there, or choose another directory. What was written so far is not a backup: delete it.",
):
    path: Path
    reason: str


class BackupLacking(
    BackupError,
    code="HK6103",
    message="backup: {count} artifacts could not be backed up; the first is {key}: {reason}.",
    remedy="Everything else is in the backup, and its manifest.json lists these files. Downloads of them fail too: "
    "find out what happened to them in the artifact store.",
):
    """The store has lost or changed files that were stored in it."""

    count: int
    key: str
    reason: str


class BackupUnreadable(
    BackupError,
    code="HK6104",
    message="backup: {path} does not hold a complete backup that this version can read: {reason}.",
    remedy="Name a directory that hokusai backup made and finished. Nothing was restored.",
):
    path: Path
    reason: str


class BackupDamaged(
    BackupError,
    code="HK6105",
    message="backup: {file} is damaged: {reason}.",
    remedy="Copy this backup again from where it is kept, or use another one. Nothing was restored.",
):
    file: str
    reason: str


class BackupUnfinished(
    BackupError,
    code="HK6108",
    message="backup: {path} holds a backup that did not finish, or that is still being made.",
    remedy="Delete that directory and run the same command again, or name a directory that does not exist yet.",
):
    path: Path


class RestoreIntoUse(
    BackupError,
    code="HK6106",
    message="backup: {place} is not empty, and a restore overwrites nothing.",
    remedy="Restore into a new data directory, database and artifact store, or empty them first.",
):
    place: str


class RestoreElsewhere(
    BackupError,
    code="HK6107",
    message="backup: the {part} database is {saved} in the backup, but {configured} here ({setting}).",
    remedy="Restore with the settings of the server that was backed up. Nothing was restored.",
):
    part: str
    saved: str
    configured: str
    setting: str


class StoreWithoutFiles(
    BackupError,
    code="HK6110",
    message="artifacts: {count} files are recorded, and the store has none: nothing was repaired.",
    remedy="Is the disk mounted, and does HOKUSAI_ARTIFACTS_URL name the right place? If all files are really lost, "
    "restore a backup, or delete them with requests to the server.",
):
    """A repair would delete every record: what the files were would not be known any more."""

    count: int
