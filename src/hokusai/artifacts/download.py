"""Downloads: streamed from the store, whole or in part, with what proves the bytes."""

from __future__ import annotations

import re
from contextlib import aclosing
from urllib.parse import quote

from starlette.types import Receive, Scope, Send

from hokusai import errors
from hokusai.artifacts import digest
from hokusai.artifacts.answers import answer, header, stream
from hokusai.artifacts.ledger import Ledger
from hokusai.artifacts.path import Place
from hokusai.artifacts.ranges import Span, names, span_of
from hokusai.artifacts.store import ArtifactStore, Stat

#: A stranger's file is data: never rendered, never run, whatever it says it is.
_INERT = [
    (b"content-type", b"application/octet-stream"),
    (b"content-security-policy", b"sandbox; default-src 'none'"),
]
_PLAIN = re.compile(r"[^A-Za-z0-9._ -]")


class Downloads:
    """``GET`` and ``HEAD …/mlflow-artifacts/artifacts/<path>`` (MLflow's ``DownloadArtifact``)."""

    def __init__(self, *, store: ArtifactStore, ledger: Ledger, stall_seconds: float) -> None:
        self._store = store
        self._ledger = ledger
        self._stall_seconds = stall_seconds

    async def head(self, place: Place, scope: Scope, send: Send) -> None:
        if not (stat := await self._store.stat(place.key)):
            raise place.unknown
        sha256 = await self._sha256(place, stat)
        if unchanged(scope, sha256):
            await answer(send, status=304, headers=digest.proofs(sha256))
        else:
            await answer(send, headers=_headers(place, stat.size, sha256))

    async def get(self, place: Place, scope: Scope, receive: Receive, send: Send) -> None:
        if not (reader := await self._store.open(place.key)):
            raise place.unknown
        async with aclosing(reader):
            sha256 = await self._sha256(place, reader.stat)
            if unchanged(scope, sha256):
                await answer(send, status=304, headers=digest.proofs(sha256))
                return
            size = reader.stat.size
            span = wanted(scope, size, sha256)
            headers = _headers(place, span.length if span else size, sha256)
            if span:
                headers.append((b"content-range", span.content_range(size)))
            await stream(
                reader.chunks(span.offset, span.length) if span else reader.chunks(0, size),
                receive,
                send,
                status=206 if span else 200,
                headers=headers,
                stall_seconds=self._stall_seconds,
            )

    async def _sha256(self, place: Place, stat: Stat) -> str | None:
        """None for a file that the ledger does not know: one that was there before us."""
        record = await self._ledger.find(place)
        return record.sha256 if record and record.speaks_for(stat) else None


def unchanged(scope: Scope, sha256: str | None) -> bool:
    """Whether ``If-None-Match`` names what the client would get again."""
    value = header(scope, b"if-none-match")
    return value is not None and sha256 is not None and names(value, digest.etag(sha256))


def wanted(scope: Scope, size: int, sha256: str | None) -> Span | None:
    """The part asked for, or None for all of it. Raises ``errors.RangeUnsatisfiable``."""
    value = header(scope, b"range")
    if not value:
        return None
    version = header(scope, b"if-range")
    if version is not None and (sha256 is None or version.strip() != digest.etag(sha256)):
        return None  # the client holds part of another version
    span = span_of(value, size)
    if isinstance(span, errors.RangeUnsatisfiable):
        raise span
    return span


def disposition(name: str) -> bytes:
    """To be saved, not shown, under its own name (RFC 6266; in full by RFC 8187)."""
    return f"attachment; filename=\"{_PLAIN.sub('_', name)}\"; filename*=UTF-8''{quote(name, safe='')}".encode()


def _headers(place: Place, length: int, sha256: str | None) -> list[tuple[bytes, bytes]]:
    return [
        *_INERT,
        *digest.proofs(sha256),
        (b"content-disposition", disposition(place.name)),
        (b"accept-ranges", b"bytes"),
        (b"content-length", str(length).encode()),
    ]
