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

#: The beginning of MLflow's artifact URIs, before the path in the store.
STORE = mlflow_api.ARTIFACTS_SCHEME

ROUTE = mlflow_api.ARTIFACTS

#: The header that names an upload, so that the server keeps what has arrived when the connection breaks.
NAME = "Hokusai-Upload"

#: The status for an upload that this server process does not have (HK4019): another process may have it.
LOST = 409

#: Nested directories. A deeper tree is refused, because it may be endless.
MAX_DEPTH = 64

#: Called with the number of bytes of one file that are done. It may fall when an attempt is repeated.
OnBytes = Callable[[int], None]

_SHA256 = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file in the store. ``name`` is relative to the listed directory; ``size`` is in bytes, 0 if unknown."""

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
        """Whether the name stays inside a directory, whatever the server says."""
        try:
            self.name.encode()
        except UnicodeEncodeError:
            return False
        return self.name not in {"", ".."} and "\0" not in self.name and Path(self.name).name == self.name


class Artifacts:
    """Sends, lists and fetches files, by their path in the store, with one block of a file in memory."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def send(self, path: str, file: LocalFile, on_bytes: OnBytes) -> None:
        """Upload a file. When the connection breaks, continue after the bytes that the server has kept.

        Raises ``errors.DigestDiffers`` where the server received other bytes than the file has.
        """
        upload = _FileUpload(file)

        def attempt() -> None:
            upload.offset = self._offset(path, upload.name) if upload.started else 0
            answer = self._sent(path, upload, on_bytes)
            if upload.offset and answer.status == LOST:
                upload.offset = 0
                answer = self._sent(path, upload, on_bytes)
            answer.read(dict)
            _compare(path, upload.digest.digest(), answer.headers.get("repr-digest"))

        retried(attempt, progress=lambda: upload.offset)

    def _sent(self, path: str, upload: _FileUpload, on_bytes: OnBytes) -> Answer:
        url = f"{ROUTE}/{quote(path)}"
        return self._connection.exchange("PUT", url, content=upload.blocks(on_bytes), headers=upload.headers())

    def _offset(self, path: str, name: str) -> int:
        answer = self._connection.exchange("HEAD", f"{ROUTE}/{quote(path)}", headers={NAME: name})
        received = answer.headers.get("upload-offset", "")
        return int(received) if answer.status == 204 and received.isdecimal() else 0

    def files(self, directory: str, name: str = "") -> Iterator[RemoteFile]:
        """Every file below ``directory``. Raises ``errors.AnswerHostile`` for a name that leads out of a directory."""
        if name.count("/") > MAX_DEPTH:
            raise errors.AnswerHostile(path=name)
        for entry in self._connection.pages(ROUTE, "files", _Entry.read, {"path": directory}):
            if not entry.harmless:
                raise errors.AnswerHostile(path=entry.name)
            path, full = f"{directory}/{entry.name}", f"{name}/{entry.name}".lstrip("/")
            if entry.directory:
                yield from self.files(path, full)
            else:
                yield RemoteFile(path=path, name=full, size=entry.size)

    def has_digest(self, path: str) -> bool:
        """Whether the server recorded the file's SHA-256 when it was uploaded."""
        answer = self._connection.exchange("HEAD", f"{ROUTE}/{quote(path)}")
        return answer.status < 300 and _digest(answer.headers.get("repr-digest")) is not None

    def fetch(self, path: str, target: Path, on_bytes: OnBytes) -> bool:
        """Write the file to ``target``, which must not exist. When the connection breaks, continue where it broke.

        Returns False, and fetches nothing, where the server has no digest to compare with. Raises
        ``errors.DigestDiffers`` where other bytes arrived than were stored.
        """
        if target.exists():
            raise errors.AnswerHostile(path=target.name)
        with target.open("wb") as file:
            download = _FileDownload(file)

            def attempt() -> bool:
                with self._connection.stream(f"{ROUTE}/{quote(path)}", download.rest()) as response:
                    if _digest(response.headers.get("repr-digest")) is None:
                        return False
                    download.begin(response)
                    for block in response.iter_raw(BLOCK):
                        download.add(block)
                        on_bytes(download.size)
                _compare(path, download.digest.digest(), response.headers.get("repr-digest"))
                return True

            return retried(attempt, progress=lambda: download.size)


class _FileUpload:
    """A file that is being uploaded: the name of the upload, and how much of it the server had at the last request."""

    def __init__(self, file: LocalFile) -> None:
        self.name = secrets.token_urlsafe(24)
        self.offset = 0
        self.started = False
        self.digest = hashlib.sha256()
        self._file = file

    def headers(self) -> dict[str, str]:
        found = {
            "Content-Length": str(self._file.size - self.offset),
            "Content-Type": "application/octet-stream",
            NAME: self.name,
        }
        if self.offset:
            found["Content-Range"] = f"bytes {self.offset}-{self._file.size - 1}/{self._file.size}"
        return found

    def blocks(self, on_bytes: OnBytes) -> Iterator[bytes]:
        """The bytes after ``offset``. The whole file is read, for its digest."""
        self.started = True
        self.digest = hashlib.sha256()
        done = 0
        for block in self._file.blocks():
            self.digest.update(block)
            done += len(block)
            if done > self.offset:
                yield block[max(0, len(block) - (done - self.offset)) :]
                on_bytes(done)


class _FileDownload:
    """A file that is being downloaded: how much has arrived, and of which version (its entity tag)."""

    def __init__(self, file: BinaryIO) -> None:
        self.size = 0
        self.digest = hashlib.sha256()
        self._file = file
        self._version: str | None = None

    def rest(self) -> dict[str, str]:
        """The headers to request what is missing, of the same version (RFC 9110, 13.1.5 and 14.2)."""
        if not self.size or self._version is None:
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": self._version}

    def begin(self, response: httpx2.Response) -> None:
        """Continue where the answer continues; start again where it is the whole file.

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


def _compare(path: str, sha256: bytes, header: str | None) -> None:
    """Compare with ``Repr-Digest`` (RFC 9530), where the server sent it."""
    if _digest(header) not in {None, sha256}:
        raise errors.DigestDiffers(path=path)


def _digest(header: str | None) -> bytes | None:
    """The SHA-256 in a ``Repr-Digest``."""
    found = _SHA256.search(header or "")
    return base64.b64decode(found[1]) if found else None
