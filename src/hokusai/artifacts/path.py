"""Artifact paths: each has one spelling and lies inside one workspace.

The layout is MLflow's own with workspaces enabled (``_get_workspace_scoped_repo_path_if_enabled``,
MLflow 3.17): ``workspaces/<workspace>/<experiment>/<run>/artifacts/…``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, unquote_to_bytes

from hokusai import errors
from hokusai.text import is_unprintable

WORKSPACES = "workspaces"
MAX_BYTES = 1024  # the longest key S3 takes
MAX_NAME_BYTES = 255  # the longest name file systems take
MAX_DEPTH = 32

_BAD_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
#: Those that ``urllib.parse.urlsplit`` drops, and that ``mlflow.utils.uri._escape_control_characters`` encodes.
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_ENCODED_SLASH = re.compile(rb"%2[Ff]")


@dataclass(frozen=True, slots=True)
class ArtifactPath:
    """A client's path in its one canonical form; empty is the root. Make one with ``decode`` or ``read``."""

    text: str

    @classmethod
    def decode(cls, raw: bytes) -> ArtifactPath | errors.ArtifactPathInvalid:
        """From the part of a raw URL path after ``…/artifacts/``, which is percent-decoded once."""
        if len(raw) > 3 * MAX_BYTES:
            return _invalid(_TOO_LONG)
        if _BAD_PERCENT.search(raw):
            return _invalid("a '%' is not followed by two hexadecimal digits")
        if _ENCODED_SLASH.search(raw):
            return _invalid("it contains an encoded '/'")
        try:
            return cls.read(unquote_to_bytes(raw).decode("utf-8"))
        except UnicodeDecodeError:
            return _invalid("it is not UTF-8")

    @classmethod
    def read(cls, text: str) -> ArtifactPath | errors.ArtifactPathInvalid:
        """From text that is already decoded, such as a query parameter."""
        fault = _TOO_LONG if len(text) > MAX_BYTES else _fault(text)
        return _invalid(fault) if fault else cls(text)


@dataclass(frozen=True, slots=True)
class Place:
    """A path inside one workspace. ``path`` is relative to the workspace's root, and empty for the root.

    ``requested`` is the path as the client sent it, for messages.
    """

    requested: str
    workspace: str
    path: str

    @property
    def key(self) -> str:
        """The file's name in the store."""
        return "/".join((WORKSPACES, self.workspace, self.path)) if self.path else f"{WORKSPACES}/{self.workspace}"

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def unknown(self) -> errors.ArtifactUnknown:
        """The refusal where nothing has this path, whatever the reason."""
        return errors.ArtifactUnknown(path=self.requested)


def place(path: ArtifactPath, workspace: str) -> Place | errors.HokusaiError:
    """What a path means for a caller from ``workspace``.

    Without the prefix ``workspaces/`` it is relative to the root of the caller's workspace. With the prefix of another
    workspace it is ``errors.ArtifactUnknown``, whether or not that workspace exists.
    """
    first, _, rest = path.text.partition("/")
    if first != WORKSPACES:
        found = Place(path.text, workspace, path.text)
    else:
        owner, _, inside = rest.partition("/")
        if owner != workspace:
            return errors.ArtifactUnknown(path=path.text)
        found = Place(path.text, workspace, inside)
    return _invalid(_TOO_LONG) if len(found.key.encode()) > MAX_BYTES else found


def place_of(key: str) -> Place | None:
    """The place that has a key; None for a key outside of all workspaces."""
    first, _, rest = key.partition("/")
    workspace, _, path = rest.partition("/")
    return Place(path, workspace, path) if first == WORKSPACES and workspace else None


def _invalid(reason: str) -> errors.ArtifactPathInvalid:
    return errors.ArtifactPathInvalid(reason=reason)


_TOO_LONG = f"it is longer than {MAX_BYTES} bytes"


def _fault(text: str) -> str | None:
    if hazard := _hazard(text):
        return hazard
    names = text.split("/")
    if len(names) > MAX_DEPTH:
        return f"it has more than {MAX_DEPTH} names"
    if len(text.encode()) > MAX_BYTES:
        return _TOO_LONG
    if any(len(name.encode()) > MAX_NAME_BYTES for name in names):
        return f"a name is longer than {MAX_NAME_BYTES} bytes"
    return _hidden(text)


def _hazard(text: str) -> str | None:
    names = text.split("/")
    if "" in names:
        return "it is empty, or contains an empty name"
    if "." in names or ".." in names:
        return "it contains '.' or '..'"
    if "\\" in text or "#" in text:
        return "it contains a backslash or a '#'"  # MLflow's clients refuse listings with either
    if is_unprintable(text):
        return "it contains a control character, or one that reorders text"
    return None


def _hidden(text: str) -> str | None:
    """MLflow's clients decode the names in a listing repeatedly, until nothing changes: none may become hostile.

    Control characters may appear, for the images that clients 2.13 to 3.10 log have them in their names
    (``loss%step%0%timestamp%1765…``). The clients drop some of them and encode the others again.
    """
    while (again := _CONTROL.sub("", unquote(text))) != text:
        if _hazard(again) or again.count("/") != text.count("/") or WORKSPACES in {_first(again)} - {_first(text)}:
            return "it becomes another path when it is decoded twice"
        text = again
    return None


def _first(text: str) -> str:
    return text.partition("/")[0]
