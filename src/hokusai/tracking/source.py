"""The source of a model version: inside the workspace, from a run or logged model that it owns.

MLflow checks local paths, ``runs:/`` and ``mlflow-artifacts:``, and accepts anything else: ``s3://`` of any bucket,
``http:``, ``ftp:``. Here a source has one of five forms. It is parsed strictly, resolved, and passed on in its
canonical spelling, together with the run or logged model that it belongs to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hokusai import errors
from hokusai.mlflow_api import ARTIFACTS_SCHEME
from hokusai.text import is_unprintable
from hokusai.tracking.ownership import Ownership

_RUN = re.compile(r"runs:/(?P<run>[0-9a-f]{32})(?:/(?P<path>.+))?")
_LOGGED_MODEL = re.compile(r"models:/(?P<model>m-[0-9a-f]{32})")
_ALIAS = re.compile(r"models:/(?P<name>[^/@]+)@(?P<alias>[^/@]+)")
_VERSION = re.compile(r"models:/(?P<name>[^/]+)/(?P<version>[0-9]{1,18})")
_FILES = re.compile(
    rf"{ARTIFACTS_SCHEME}(?P<root>workspaces/[^/]+/[0-9]+"
    r"/(?:(?P<run>[0-9a-f]{32})|models/(?P<model>m-[0-9a-f]{32}))/artifacts)(?:/(?P<path>.+))?"
)
_ODD = re.compile(r"[\\?#%]")
#: What MLflow's column holds.
_LONGEST = 500

Parts = dict[str, str]


@dataclass(frozen=True, slots=True)
class Source:
    """A checked source. ``run_id`` and ``model_id`` say what its files belong to, where that is known."""

    uri: str
    run_id: str | None = None
    model_id: str | None = None


async def resolve(text: str, *, workspace: str, ownership: Ownership) -> Source | errors.SourceForbidden:
    """The canonical source that ``text`` stands for in a workspace."""
    text = text.removesuffix("/")
    if fault := _fault(text):
        return errors.SourceForbidden(reason=fault)
    form, found = next(((form, match) for form in _RESOLVERS if (match := form.fullmatch(text))), (None, None))
    if form is None or found is None:
        return errors.SourceForbidden(reason="it has none of the accepted forms")
    source = await _RESOLVERS[form](found.groupdict(), workspace, ownership)
    if source is None or len(source.uri) > _LONGEST:
        return errors.SourceForbidden(reason="this workspace owns nothing there")
    return source


async def _of_run(parts: Parts, workspace: str, ownership: Ownership) -> Source | None:
    root = _inside(await ownership.run(workspace, parts["run"]), workspace)
    return Source(_joined(root, parts["path"]), run_id=parts["run"]) if root else None


async def _of_logged_model(parts: Parts, workspace: str, ownership: Ownership) -> Source | None:
    root = _inside(await ownership.logged_model(workspace, parts["model"]), workspace)
    return Source("models:/" + parts["model"], model_id=parts["model"]) if root else None


async def _of_alias(parts: Parts, workspace: str, ownership: Ownership) -> Source | None:
    version = await ownership.alias(workspace, parts["name"], parts["alias"])
    return await _of_version({**parts, "version": version}, workspace, ownership) if version else None


async def _of_version(parts: Parts, workspace: str, ownership: Ownership) -> Source | None:
    name, version = parts["name"], str(int(parts["version"]))
    return (
        Source(f"models:/{name}/{version}")
        if _inside(await ownership.version(workspace, name, version), workspace)
        else None
    )


async def _of_files(parts: Parts, workspace: str, ownership: Ownership) -> Source | None:
    run, model = parts["run"], parts["model"]
    root = _inside(
        await (ownership.run(workspace, run) if run else ownership.logged_model(workspace, model)), workspace
    )
    if root is None or root != f"{ARTIFACTS_SCHEME}{parts['root']}":
        return None
    return Source(_joined(root, parts["path"]), run_id=run, model_id=model)


_RESOLVERS = {
    _RUN: _of_run,
    _LOGGED_MODEL: _of_logged_model,
    _ALIAS: _of_alias,
    _VERSION: _of_version,
    _FILES: _of_files,
}


def _inside(uri: str | None, workspace: str) -> str | None:
    """A URI that MLflow returned, where it is inside the workspace; else None."""
    return uri if uri and uri.startswith(f"{ARTIFACTS_SCHEME}workspaces/{workspace}/") else None


def _joined(root: str, path: str | None) -> str:
    return f"{root}/{path}" if path else root


def _fault(text: str) -> str | None:
    if len(text) > _LONGEST:
        return f"it is longer than {_LONGEST} characters"
    if _ODD.search(text) or is_unprintable(text):
        return "it holds a control character, a backslash, '?', '#' or '%'"
    if set(text.partition(":/")[2].split("/")) & {"", ".", ".."}:
        return "it has an empty name, '.' or '..' in it, or names a host"
    return None
