"""Uploads: any size in constant memory, hashed as they stream, whole or not at all."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from hokusai import errors
from hokusai.artifacts import resumable
from hokusai.artifacts.group_commit import GroupCommit, PendingFile
from hokusai.artifacts.http import digests
from hokusai.artifacts.http.conditions import Condition
from hokusai.artifacts.http.responses import JSON, answer, header
from hokusai.artifacts.ledger import Arrival, Ledger, Seen
from hokusai.artifacts.path import Place
from hokusai.artifacts.resumable import Name, ResumableUploads, Running, Transfer
from hokusai.artifacts.store import CHUNK, ArtifactStore, Piece
from hokusai.artifacts.upload_quota import UploadQuota
from hokusai.identity import Principal, Quota

#: Messages gathered into one write, at most: a sender of tiny ones must not fill memory with their overhead.
_MESSAGES = 512

_REST = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", re.ASCII)


class Body:
    """A request's body, gathered into batches of about ``CHUNK`` bytes.

    ``declared`` is ``Content-Length``, or None for a chunked body; ``limit`` is in bytes;
    ``idle_seconds`` is how long a client may send nothing.
    """

    def __init__(
        self, receive: Receive, running: Running, *, declared: int | None, limit: int, idle_seconds: float
    ) -> None:
        self.declared = declared
        self.size = 0
        self._receive = receive
        self._running = running
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
            async with self._running.wait(self._idle_seconds):
                message = await self._receive()
        except TimeoutError:
            if self._running.is_cut:
                raise self._incomplete() from None
            raise errors.BodyTooSlow(seconds=self._idle_seconds) from None
        if message["type"] == "http.disconnect" or self._running.is_cut:
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


@dataclass(frozen=True, slots=True)
class Sending:
    """What the headers say of the body: its bytes, where in the file they begin, and what the file is to be.

    ``declared`` is None for a body of unknown length; ``name`` is the upload's, where its client may go
    on with it; ``digests`` are those of the whole file, in hexadecimal.
    """

    offset: int
    declared: int | None
    name: Name | None
    digests: tuple[str, ...]

    @classmethod
    def read(cls, place: Place, key_id: str, scope: Scope) -> Sending:
        """Raises ``errors.UploadNotPlain`` or ``DigestMismatch``."""
        if header(scope, b"content-encoding") not in {None, "identity"}:
            raise errors.UploadNotPlain(header="Content-Encoding", reason="files are stored as they are sent")
        length = header(scope, b"content-length")
        declared = None if length is None else int(length)
        name = Name.read(place, key_id, header(scope, resumable.NAME))
        rest = header(scope, b"content-range")
        offset = 0 if rest is None else _offset(rest, declared if name else None)
        # A rest has a digest of its own that says nothing of the file. Else both fields speak of the same bytes.
        fields = (b"repr-digest",) if offset else (b"repr-digest", b"content-digest")
        return cls(offset, declared, name, tuple(sha256 for field in fields for sha256 in _claimed(scope, field)))


class Uploads:
    """``PUT …/mlflow-artifacts/artifacts/<path>`` (MLflow's ``UploadArtifact``).

    One with a ``Hokusai-Upload`` header whose connection breaks is kept for ``keep_seconds``. ``HEAD`` with
    the same header tells in ``Upload-Offset`` what is there, and a PUT with ``Content-Range`` sends the rest.
    """

    def __init__(
        self,
        *,
        store: ArtifactStore,
        ledger: Ledger,
        upload_quota: UploadQuota,
        quota: Quota,
        max_bytes: int,
        idle_seconds: float,
        keep_seconds: float = 120,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._group_commit = GroupCommit(ledger)
        self._upload_quota = upload_quota
        self._quota = quota
        self._max_bytes = max_bytes
        self._idle_seconds = idle_seconds
        self._suspended = ResumableUploads(seconds=keep_seconds)

    async def put(self, place: Place, principal: Principal, scope: Scope, receive: Receive, send: Send) -> None:
        """Everything that the headers alone can tell is refused before the body is asked for."""
        quota = principal.quota.over(self._quota)
        sending = Sending.read(place, principal.key_id, scope)
        limit = self._max_bytes - sending.offset
        if sending.declared is not None and sending.declared > limit:
            raise errors.ArtifactTooLarge(limit=self._max_bytes)
        seen = await self._seen(place, Condition.of(scope))
        transfer = await self._transfer(place, quota, sending)
        async with transfer.stack:
            with self._suspended.under_way(sending.name) as running:
                body = Body(receive, running, declared=sending.declared, limit=limit, idle_seconds=self._idle_seconds)
                await self._receive(transfer, body, sending)
            if file := await transfer.upload.stage():
                landing = PendingFile(place, principal.key_id, quota, sending.digests, seen, file)
                written = await self._group_commit.land(landing)
            else:
                written = await transfer.upload.finish()
                digests.check(sending.digests, written.sha256)
                async with self._ledger.recording(Arrival(place, written, principal.key_id, quota, seen)):
                    await transfer.upload.commit()
            transfer.reservation.release()
        await answer(send, headers=[JSON, (b"content-length", b"2"), *digests.proofs(written.sha256)], body=b"{}")

    async def offset(self, place: Place, principal: Principal, name: str, send: Send) -> None:
        """What is there of an upload, in bytes; 0 for one that is not known, or no longer."""
        found = Name.read(place, principal.key_id, name)
        size = await self._suspended.size(found) if found else 0
        await answer(send, status=204, headers=[(b"upload-offset", str(size).encode())])

    async def close(self) -> None:
        await self._suspended.close()
        await self._group_commit.close()

    async def _transfer(self, place: Place, quota: Quota, sending: Sending) -> Transfer:
        """A new one, or the one that this goes on with."""
        if sending.offset and sending.name:
            if transfer := self._suspended.take(sending.name, sending.offset):
                return transfer
            raise errors.UploadLost(offset=sending.offset)
        async with AsyncExitStack() as stack:
            reservation = await stack.enter_async_context(
                self._upload_quota.upload(place, quota, declared=sending.declared)
            )
            upload = await stack.enter_async_context(self._store.upload(place.key))
            return Transfer(upload, reservation, stack.pop_all())

    async def _receive(self, transfer: Transfer, body: Body, sending: Sending) -> None:
        start = transfer.size
        try:
            async with aclosing(body.batches()) as batches:
                async for batch in batches:
                    transfer.reservation.reach(start + body.size)
                    await transfer.upload.write(batch)
                    transfer.size = start + body.size
        except (errors.UploadIncomplete, errors.BodyTooSlow):
            if sending.name:
                self._suspended.keep(sending.name, transfer)
            raise

    async def _seen(self, place: Place, condition: Condition) -> Seen | None:
        """What is there now, which the conditions allow to be replaced, where there are any.

        Raises ``errors.ConditionFailed``.
        """
        if not condition:
            return None
        stat, record = await self._store.stat(place.key), await self._ledger.find(place)
        seen = Seen(record.sha256 if record else None)
        condition.check(stat is not None, seen.sha256 if stat and record and record.speaks_for(stat) else None)
        return seen


def _offset(rest: str, declared: int | None) -> int:
    """Where the rest of a file begins. Raises ``errors.UploadNotPlain`` unless it is that of a named upload."""
    found = _REST.fullmatch(rest)
    first, last, size = (int(number) for number in found.groups()) if found else (0, 0, 0)
    if not found or declared is None or last + 1 != size or first + declared != size:
        reason = "it does not describe the rest of an upload that Hokusai-Upload names"
        raise errors.UploadNotPlain(header="Content-Range", reason=reason)
    return first


def _claimed(scope: Scope, field: bytes) -> list[str]:
    value = header(scope, field)
    found = digests.claimed(value) if value else []
    if isinstance(found, errors.DigestMismatch):
        raise found
    return found
