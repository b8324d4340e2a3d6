"""Backup and restore (HK61)."""

from __future__ import annotations

from pathlib import Path

from hokusai.errors.base import BackupError


class BackupPlaceTaken(
    BackupError,
    code="HK6101",
    message="backup: {path} is there already, and is not an empty directory.",
    remedy="Name a directory that does not exist yet; each backup has one of its own.",
):
    path: Path


class BackupUnwritable(
    BackupError,
    code="HK6102",
    message="backup: {path} cannot be written: {reason}.",
    remedy="Free space there, or choose another place. What was written so far is no backup: remove it.",
):
    path: Path
    reason: str


class BackupLacking(
    BackupError,
    code="HK6103",
    message="backup: {count} of the artifacts could not be taken in; the first is {key}: {reason}.",
    remedy="All else is in the backup, and its manifest.json lists these. See to them: they cannot be pulled either.",
):
    """The store has lost or changed what was once stored in it."""

    count: int
    key: str
    reason: str


class BackupUnreadable(
    BackupError,
    code="HK6104",
    message="backup: {path} holds no whole backup that this version reads: {reason}.",
    remedy="Name a directory that hokusai backup made, and that it finished. Nothing was restored.",
):
    path: Path
    reason: str


class BackupDamaged(
    BackupError,
    code="HK6105",
    message="backup: {file} is damaged: {reason}.",
    remedy="Fetch this backup again from where it is kept, or take another one. Nothing was restored.",
):
    file: str
    reason: str


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
    message="backup: the {part} database is {held} in it, and {kept} here ({setting}).",
    remedy="Restore with the settings of the server that was backed up. Nothing was restored.",
):
    part: str
    held: str
    kept: str
    setting: str
