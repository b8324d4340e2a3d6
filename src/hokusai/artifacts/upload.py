"""Uploads: any size in constant memory, hashed as they stream, whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.types import Receive, Scope, Send

from hokusai import errors
from hokusai.artifacts import digest
from hokusai.artifacts.answers import JSON, answer, header
from hokusai.artifacts.landing import Landing, Landings
from hokusai.artifacts.ledger import Ledger
from hokusai.artifacts.path import Place
from hokusai.artifacts.room import Room
from hokusai.artifacts.store import CHUNK, ArtifactStore, Piece
from hokusai.identity import Principal, Quota

#: Messages gathered into one write, at most: a sender of tiny ones must not fill memory with their overhead.
_MESSAGES = 512


class Body:
    """A request's body, gathered into batches of about ``CHUNK`` bytes.

    ``declared`` is ``Content-Length``, or None for a chunked body; ``limit`` is in bytes;
    ``idle_seconds`` is how long a client may send nothing.
    """

    def __init__(self, receive: Receive, *, declared: int | None, limit: int, idle_seconds: float) -> None:
        self.declared = declared
        self.size = 0
        self._receive = receive
        self._limit = limit
        self._idle_seconds = idle_seconds
        self._more = True

    async def batches(self) -> AsyncGenerator[list[Piece], None]:
        """Raises ``errors.ArtifactTooLarge``, ``UploadIncomplete`` or ``BodyTooSlow``."""
        while self._more:
            yield await self._batch()
        if self.declared is not None and self.size != self.declared:
            raise self._incomplete()

    async def _batch(self) -> list[Piece]:
        batch: list[Piece] = []
        start = self.size
        while self._more and self.size - start < CHUNK and len(batch) < _MESSAGES:
            batch.append(await self._next())
        return batch

    async def _next(self) -> Piece:
        try:
            async with asyncio.timeout(self._idle_seconds):
                message = await self._receive()
        except TimeoutError:
            raise errors.BodyTooSlow(seconds=self._idle_seconds) from None
        if message["type"] == "http.disconnect":
            raise self._incomplete()
        self._more = message.get("more_body", False)
        piece: Piece = message.get("body", b"")
        self.size += len(piece)
        if self.size > self._limit:
            raise errors.ArtifactTooLarge(limit=self._limit)
        return piece

    def _incomplete(self) -> errors.UploadIncomplete:
        expected = "an unknown number of" if self.declared is None else self.declared
        return errors.UploadIncomplete(received=self.size, expected=expected)


class Uploads:
    """``PUT …/mlflow-artifacts/artifacts/<path>`` (MLflow's ``UploadArtifact``)."""

    def __init__(
        self,
        *,
        store: ArtifactStore,
        ledger: Ledger,
        room: Room,
        quota: Quota,
        max_bytes: int,
        idle_seconds: float,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._landings = Landings(ledger)
        self._room = room
        self._quota = quota
        self._max_bytes = max_bytes
        self._idle_seconds = idle_seconds

    async def put(self, place: Place, principal: Principal, scope: Scope, receive: Receive, send: Send) -> None:
        """Everything that the headers alone can tell is refused before the body is asked for."""
        quota = principal.quota.over(self._quota)
        body = self._body(scope, receive)
        claimed = _claimed(scope)
        async with (
            self._room.upload(place, quota, declared=body.declared) as share,
            self._store.upload(place.key) as upload,
        ):
            async with aclosing(body.batches()) as batches:
                async for batch in batches:
                    share.reach(body.size)
                    await upload.write(batch)
            written = await upload.finish()
            if any(sha256 != written.sha256 for sha256 in claimed):
                raise errors.DigestMismatch(reason="does not match the bytes that arrived")
            if self._store.lands_at_once:
                await self._landings.land(Landing(place, written, principal.key_id, quota, upload.commit))
            else:
                async with self._ledger.recording(place, written, principal.key_id, quota, at_once=False):
                    await upload.commit()
            share.release()
        await answer(send, headers=[JSON, (b"content-length", b"2"), *digest.proofs(written.sha256)], body=b"{}")

    async def close(self) -> None:
        await self._landings.close()

    def _body(self, scope: Scope, receive: Receive) -> Body:
        length = header(scope, b"content-length")
        declared = None if length is None else int(length)
        if declared is not None and declared > self._max_bytes:
            raise errors.ArtifactTooLarge(limit=self._max_bytes)
        for name in ("Content-Range", "Content-Encoding"):
            if header(scope, name.lower().encode()) not in {None, "identity"}:
                raise errors.UploadNotPlain(header=name)
        return Body(receive, declared=declared, limit=self._max_bytes, idle_seconds=self._idle_seconds)


def _claimed(scope: Scope) -> list[str]:
    """The digests the client sent. An upload is never encoded, so both fields speak of the same bytes."""
    found: list[str] = []
    for name in (b"repr-digest", b"content-digest"):
        if value := header(scope, name):
            digests = digest.claimed(value)
            if isinstance(digests, errors.DigestMismatch):
                raise digests
            found += digests
    return found
