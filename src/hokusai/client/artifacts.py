"""Files in the server's artifact store, over the mlflow-artifacts API (MLflow's ``mlflow_artifacts.proto``)."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import httpx2

from hokusai import errors, mlflow_api
from hokusai.client.answer import Answer
from hokusai.client.connection import Connection
from hokusai.client.files import BLOCK, LocalFile
from hokusai.client.retry import retried
from hokusai.client.values import Document

#: What stands before a path in the store, in MLflow's artifact URIs.
STORE = mlflow_api.ARTIFACTS_SCHEME

ROUTE = mlflow_api.ARTIFACTS

#: Header that names an upload, so that the server keeps what it has of it after a cut.
NAME = "Hokusai-Upload"

#: The status that says this server process has no such beginning (HK4019); another one may have told of it.
LOST = 409

#: Directories inside one another. A deeper tree is taken for one without an end.
DEEPEST = 64

#: Called with the bytes of one file that are done; begins again from less when an attempt is repeated.
OnBytes = Callable[[int], None]

_SHA256 = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file in the store. ``name`` is relative to the directory that was listed; ``size`` in bytes, 0 if untold."""

    path: str
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of a listing (``FileInfo``)."""

    name: str
    directory: bool
    size: int

    @classmethod
    def read(cls, document: Document) -> _Entry:
        return cls(str(document["path"]), bool(document.get("is_dir")), int(document.get("file_size", 0)))

    @property
    def harmless(self) -> bool:
        """The server's word alone never leads out of a directory."""
        try:
            self.name.encode()
        except UnicodeEncodeError:
            return False
        return self.name not in {"", ".."} and "\0" not in self.name and Path(self.name).name == self.name


class Artifacts:
    """Sends, lists and fetches files, by their path in the store; one file in memory never more than a block."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def send(self, path: str, file: LocalFile, on_bytes: OnBytes) -> None:
        """After a cut it goes on where the server has got to, if that still has it.

        Raises ``errors.DigestDiffers`` where the server tells another digest than the file had.
        """
        leaving = _Leaving(file)

        def attempt() -> None:
            leaving.offset = self._offset(path, leaving.name) if leaving.begun else 0
            answer = self._sent(path, leaving, on_bytes)
            if leaving.offset and answer.status == LOST:
                leaving.offset = 0
                answer = self._sent(path, leaving, on_bytes)
            answer.read(dict)
            _compare(path, leaving.digest.digest(), answer.headers.get("repr-digest"))

        retried(attempt, progress=lambda: leaving.offset)

    def _sent(self, path: str, leaving: _Leaving, on_bytes: OnBytes) -> Answer:
        url = f"{ROUTE}/{quote(path)}"
        return self._connection.exchange("PUT", url, content=leaving.blocks(on_bytes), headers=leaving.head())

    def _offset(self, path: str, name: str) -> int:
        answer = self._connection.exchange("HEAD", f"{ROUTE}/{quote(path)}", headers={NAME: name})
        told = answer.headers.get("upload-offset", "")
        return int(told) if answer.status == 204 and told.isdecimal() else 0

    def files(self, directory: str, name: str = "") -> Iterator[RemoteFile]:
        """Every file below ``directory``. Raises ``errors.AnswerHostile`` for names that could lead out of one."""
        if name.count("/") > DEEPEST:
            raise errors.AnswerHostile(path=name)
        for entry in self._connection.pages(ROUTE, "files", _Entry.read, {"path": directory}):
            if not entry.harmless:
                raise errors.AnswerHostile(path=entry.name)
            path, full = f"{directory}/{entry.name}", f"{name}/{entry.name}".lstrip("/")
            if entry.directory:
                yield from self.files(path, full)
            else:
                yield RemoteFile(path=path, name=full, size=entry.size)

    def fetch(self, path: str, target: Path, on_bytes: OnBytes) -> None:
        """Write the file to ``target``, which must not exist. After a cut it goes on where it was.

        Raises ``errors.DigestDiffers`` where what arrived is not what was stored.
        """
        if target.exists():
            raise errors.AnswerHostile(path=target.name)
        with target.open("wb") as file:
            arriving = _Arriving(file)

            def attempt() -> None:
                with self._connection.stream(f"{ROUTE}/{quote(path)}", arriving.rest()) as response:
                    arriving.begin(response)
                    for block in response.iter_raw(BLOCK):
                        arriving.add(block)
                        on_bytes(arriving.size)
                _compare(path, arriving.digest.digest(), response.headers.get("repr-digest"))

            retried(attempt, progress=lambda: arriving.size)


class _Leaving:
    """A file on its way out: the name of this upload, and what of it the server had when it was last asked."""

    def __init__(self, file: LocalFile) -> None:
        self.name = secrets.token_urlsafe(24)
        self.offset = 0
        self.begun = False
        self.digest = hashlib.sha256()
        self._file = file

    def head(self) -> dict[str, str]:
        found = {
            "Content-Length": str(self._file.size - self.offset),
            "Content-Type": "application/octet-stream",
            NAME: self.name,
        }
        if self.offset:
            found["Content-Range"] = f"bytes {self.offset}-{self._file.size - 1}/{self._file.size}"
        return found

    def blocks(self, on_bytes: OnBytes) -> Iterator[bytes]:
        """What is still to be sent. All of the file is read, for its digest."""
        self.begun = True
        self.digest = hashlib.sha256()
        done = 0
        for block in self._file.blocks():
            self.digest.update(block)
            done += len(block)
            if done > self.offset:
                yield block[max(0, len(block) - (done - self.offset)) :]
                on_bytes(done)


class _Arriving:
    """A file on its way in: what is there of it, and which version of it that is (its entity tag)."""

    def __init__(self, file: BinaryIO) -> None:
        self.size = 0
        self.digest = hashlib.sha256()
        self._file = file
        self._version: str | None = None

    def rest(self) -> dict[str, str]:
        """The headers that ask for what is missing, of this very version (RFC 9110, 13.1.5 and 14.2)."""
        if not self.size or self._version is None:
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": self._version}

    def begin(self, response: httpx2.Response) -> None:
        """Continue where the answer does, or from the start where it is the whole file.

        Raises ``errors.AnswerUnreadable`` for another part than was asked for.
        """
        status, part = response.status_code, response.headers.get("content-range", "")
        if status == 206 and part.startswith(f"bytes {self.size}-"):
            return
        if status == 206:
            found = f"another part of the file than was asked for ({part or 'no Content-Range'})"
            raise errors.AnswerUnreadable(url=str(response.url), status=status, found=found)
        self.size = 0
        self.digest = hashlib.sha256()
        self._version = response.headers.get("etag")
        self._file.seek(0)
        self._file.truncate()

    def add(self, block: bytes) -> None:
        self._file.write(block)
        self.digest.update(block)
        self.size += len(block)


def _compare(path: str, sha256: bytes, told: str | None) -> None:
    """Against ``Repr-Digest`` (RFC 9530), where the server sends it."""
    found = _SHA256.search(told or "")
    if found and base64.b64decode(found[1]) != sha256:
        raise errors.DigestDiffers(path=path)
