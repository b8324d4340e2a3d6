"""The driver for a URL."""

from __future__ import annotations

import os
import re
from posixpath import normpath
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from obstore.store import MemoryStore

from hokusai import errors
from hokusai.artifacts.path import ArtifactPath
from hokusai.artifacts.store import ArtifactStore
from hokusai.artifacts.stores.object import s3
from hokusai.artifacts.stores.object.store import ObjectStore
from hokusai.artifacts.stores.posix.store import LocalStore

SETTING = "HOKUSAI_ARTIFACTS_URL"
SUPPORTED = "file:///DIR, s3://BUCKET/PREFIX or memory://"

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")


def store_at(url: str) -> ArtifactStore:
    """The store at ``file:///DIR``, ``s3://BUCKET/PREFIX`` or ``memory://``. It does nothing before ``start``.

    Raises ``errors.SettingInvalid``.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _invalid(f"it is not a URL; supported are {SUPPORTED}") from None
    if parts.query or parts.fragment:
        raise _invalid("it contains a query or a fragment; write '?' as %3F and '#' as %23")
    if parts.scheme == "memory" and not parts.netloc and parts.path in {"", "/"}:
        return ObjectStore(MemoryStore())
    if parts.scheme == "file":
        return _local(parts.netloc, parts.path)
    if parts.scheme == "s3":
        return _bucket(parts.netloc, parts.path)
    raise _invalid(f"supported are {SUPPORTED}")


def _local(host: str, path: str) -> LocalStore:
    directory = normpath(unquote_to_bytes(path))
    if host not in {"", "localhost"} or not directory.strip(b"/.") or not path.startswith("/") or b"\0" in directory:
        raise _invalid("file: needs an absolute directory and no host: file:///DIR")
    return LocalStore(directory)


def _bucket(name: str, path: str) -> ObjectStore:
    text = unquote(path, errors="surrogateescape").strip("/")
    prefix = ArtifactPath.read(text) if text else ArtifactPath("")
    if not _BUCKET.fullmatch(name):
        raise _invalid("s3: needs the name of a bucket, without host, port or user: s3://BUCKET/PREFIX")
    if isinstance(prefix, errors.ArtifactPathInvalid):
        raise _invalid("the prefix in s3://BUCKET/PREFIX must be names with '/' between them")
    return ObjectStore(s3.bucket(name, prefix.text, os.environ))


def _invalid(reason: str) -> errors.SettingInvalid:
    return errors.SettingInvalid(setting=SETTING, reason=reason)
