"""Errors that every driver raises in the same words."""

from __future__ import annotations

from collections.abc import Mapping

from hokusai import errors

_DENIED: Mapping[str, type[errors.ArtifactStoreDenied]] = {
    "read": errors.ArtifactReadDenied,
    "list": errors.ArtifactListDenied,
    "delete": errors.ArtifactDeleteDenied,
}


def denied(action: str) -> errors.ArtifactStoreDenied:
    """The storage refuses to let this server ``read``, ``list``, ``delete`` or ``write``."""
    return _DENIED.get(action, errors.ArtifactStoreDenied)()


def is_directory() -> errors.ArtifactPathTaken:
    return errors.ArtifactPathTaken(reason="a directory has this name")


def parent_is_file() -> errors.ArtifactPathTaken:
    return errors.ArtifactPathTaken(reason="a file has the name of a parent")


def name_too_long() -> errors.ArtifactPathInvalid:
    return errors.ArtifactPathInvalid(reason="it is too long for the artifact store")
