"""Downloads: streamed from the store, whole or in ranges, with headers that prove the bytes.

A file that does not fit its record is refused; where that shows only at its end, the connection is reset before the
last bytes, so that no client takes what it got for the whole file.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

from starlette.types import Message, Receive, Scope, Send

from hokusai import errors
from hokusai.artifacts.http import digests
from hokusai.artifacts.http.conditions import Condition
from hokusai.artifacts.http.ranges import Span, spans_of
from hokusai.artifacts.http.responses import answer, header, stream
from hokusai.artifacts.integrity import Integrity
from hokusai.artifacts.path import Place
from hokusai.artifacts.store import ArtifactStore, FileSlice, Piece
from hokusai.asgi import RESET, ZERO_COPY_SEND

#: A client's file is data: browsers must never render or run it, whatever it contains.
_INERT = [
    (b"content-type", b"application/octet-stream"),
    (b"content-security-policy", b"sandbox; default-src 'none'"),
]
_PLAIN = re.compile(r"[^A-Za-z0-9._ -]")


class Downloads:
    """``GET`` and ``HEAD …/mlflow-artifacts/artifacts/<path>`` (MLflow's ``DownloadArtifact``)."""

    def __init__(self, *, store: ArtifactStore, integrity: Integrity, stall_seconds: float) -> None:
        self._store = store
        self._integrity = integrity
        self._stall_seconds = stall_seconds

    async def head(self, place: Place, scope: Scope, send: Send) -> None:
        if not (stat := await self._store.stat(place.key)):
            raise place.unknown
        sha256 = await self._integrity.digest(place, stat)
        if unchanged(scope, sha256):
            await answer(send, status=304, headers=digests.digest_headers(sha256))
        else:
            await answer(send, headers=_headers(place, stat.size, sha256))

    async def get(self, place: Place, scope: Scope, receive: Receive, send: Send) -> None:
        if not (file := await self._integrity.open(place)):
            raise place.unknown
        async with aclosing(file.reader) as reader:
            sha256 = file.sha256
            if unchanged(scope, sha256):
                await answer(send, status=304, headers=digests.digest_headers(sha256))
                return
            size = reader.stat.size
            spans = requested(scope, size, sha256)
            headers = _headers(place, size, sha256)
            checked = not file.proven and all(span.length == size for span in spans)
            if not checked:
                await self._integrity.prove(file)
            read = reader.slices if ZERO_COPY_SEND in scope.get("extensions", ()) else reader.chunks
            begun = _Begun(scope, send)
            pieces = begun.resetting(self._integrity.checked(file)) if checked else read(0, size)
            if len(spans) == 1:
                headers = [*_headers(place, spans[0].length, sha256), (b"content-range", spans[0].content_range(size))]
                if not checked:
                    pieces = read(spans[0].offset, spans[0].length)
            elif spans:
                parts = Parts(spans, size)
                headers = [(b"content-type", parts.media_type), *_headers(place, parts.length, sha256)[1:]]
                pieces = parts.of(read)
            status = 206 if spans else 200
            send = begun.send if checked else send
            await stream(pieces, receive, send, status=status, headers=headers, stall_seconds=self._stall_seconds)


class _Begun:
    """Resets the connection where a file turns out to be damaged after its response has begun."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._reset = scope.get("extensions", {}).get(RESET)
        self._send = send
        self._begun = False

    async def send(self, message: Message) -> None:
        self._begun = True
        await self._send(message)

    async def resetting(self, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    yield piece
        except errors.ArtifactDamaged:
            if self._begun and self._reset:
                self._reset["call"]()
            raise


#: ``Reader.chunks`` or ``Reader.slices``.
Read = Callable[[int, int], AsyncGenerator[Any, None]]


class Parts:
    """Several ranges of one file in one body (``multipart/byteranges``, RFC 9110, section 14.6)."""

    def __init__(self, spans: Sequence[Span], size: int) -> None:
        boundary = secrets.token_hex(16).encode()
        self.media_type = b"multipart/byteranges; boundary=" + boundary
        self._spans = spans
        self._heads = [
            b"\r\n--%s\r\ncontent-type: application/octet-stream\r\ncontent-range: %s\r\n\r\n"
            % (boundary, span.content_range(size))
            for span in spans
        ]
        self._end = b"\r\n--%s--\r\n" % boundary
        self.length = sum(map(len, self._heads)) + sum(span.length for span in spans) + len(self._end)

    async def of(self, read: Read) -> AsyncGenerator[Piece | FileSlice, None]:
        for head, span in zip(self._heads, self._spans, strict=True):
            yield head
            async with aclosing(read(span.offset, span.length)) as pieces:
                async for piece in pieces:
                    yield piece
        yield self._end


def unchanged(scope: Scope, sha256: str | None) -> bool:
    """Whether the client has this version (``If-None-Match``). Raises ``errors.ConditionFailed`` (``If-Match``)."""
    condition = Condition.of(scope)
    if condition.match_fails(exists=True, sha256=sha256):
        raise errors.ConditionFailed(header="If-Match")
    return sha256 is not None and condition.unchanged(sha256)


def requested(scope: Scope, size: int, sha256: str | None) -> Sequence[Span]:
    """The requested ranges; none: the whole file. Raises ``errors.RangeUnsatisfiable``."""
    value = header(scope, b"range")
    if not value:
        return ()
    version = header(scope, b"if-range")
    if version is not None and (sha256 is None or version.strip() != digests.etag(sha256)):
        return ()  # the client has part of another version
    spans = spans_of(value, size)
    if isinstance(spans, errors.RangeUnsatisfiable):
        raise spans
    return spans


def disposition(name: str) -> bytes:
    """Browsers save the file under its own name, and do not show it (RFC 6266; non-ASCII names by RFC 8187)."""
    return f"attachment; filename=\"{_PLAIN.sub('_', name)}\"; filename*=UTF-8''{quote(name, safe='')}".encode()


def _headers(place: Place, length: int, sha256: str | None) -> list[tuple[bytes, bytes]]:
    return [
        *_INERT,
        *digests.digest_headers(sha256),
        (b"content-disposition", disposition(place.name)),
        (b"accept-ranges", b"bytes"),
        (b"content-length", str(length).encode()),
    ]
