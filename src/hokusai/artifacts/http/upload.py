"""Uploads: any size in constant memory, hashed while they stream, visible whole or not at all."""

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
from hokusai.artifacts.ledger import Ledger
from hokusai.artifacts.path import Place
from hokusai.artifacts.record import ExpectedVersion, PendingRecord
from hokusai.artifacts.resumable import ResumableUploads, Transfer, UploadName, UploadRequest
from hokusai.artifacts.settling import Settling
from hokusai.artifacts.store import CHUNK, ArtifactStore, Piece
from hokusai.artifacts.upload_quota import UploadQuota
from hokusai.audit import recording_of
from hokusai.identity import Principal, Quota, landing_of

#: The most messages in one write: a client that sends tiny ones must not fill memory with their overhead.
_MAX_MESSAGES = 512

_REST = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", re.ASCII)


class Body:
    """A request's body, in batches of about ``CHUNK`` bytes.

    ``declared`` is ``Content-Length``, or None for a chunked body; ``limit`` is in bytes; ``idle_seconds`` is how
    long a client may pause.
    """

    def __init__(
        self, receive: Receive, request: UploadRequest, *, declared: int | None, limit: int, idle_seconds: float
    ) -> None:
        self.declared = declared
        self.size = 0
        self._receive = receive
        self._request = request
        self._limit = limit
        self._idle_seconds = idle_seconds
        self._more = True

    async def batches(self) -> AsyncGenerator[list[Piece], None]:
        """Raises ``errors.ArtifactTooLarge``, ``UploadIncomplete`` or ``BodyStalled``."""
        while self._more:
            yield await self._batch()
        if self.declared is not None and self.size != self.declared:
            raise self._incomplete()

    async def _batch(self) -> list[Piece]:
        batch: list[Piece] = []
        start = self.size
        while self._more and self.size - start < CHUNK and len(batch) < _MAX_MESSAGES:
            batch.append(await self._next())
        return batch

    async def _next(self) -> Piece:
        try:
            async with self._request.wait(self._idle_seconds):
                message = await self._receive()
        except TimeoutError:
            if self._request.is_aborted:
                raise self._incomplete() from None
            raise errors.BodyStalled(seconds=self._idle_seconds) from None
        if message["type"] == "http.disconnect" or self._request.is_aborted:
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
class UploadHeaders:
    """What the headers of a PUT say: where in the file the body begins, its length, and how the file is identified.

    ``declared`` is None for a body of unknown length. ``name`` is the upload's name, where the client can resume it.
    ``digests`` are those of the whole file, in hexadecimal.
    """

    offset: int
    declared: int | None
    name: UploadName | None
    digests: tuple[str, ...]

    @classmethod
    def read(cls, place: Place, key_id: str, scope: Scope) -> UploadHeaders:
        """Raises ``errors.UploadNotPlain`` or ``DigestMismatch``."""
        if header(scope, b"content-encoding") not in {None, "identity"}:
            raise errors.UploadNotPlain(header="Content-Encoding", reason="files are stored as they are sent")
        length = header(scope, b"content-length")
        declared = None if length is None else int(length)
        name = UploadName.read(place, key_id, header(scope, resumable.NAME))
        rest = header(scope, b"content-range")
        offset = 0 if rest is None else _offset(rest, declared if name else None)
        # In a resumed upload, Content-Digest is that of the rest only. Otherwise both fields are about the whole file.
        fields = (b"repr-digest",) if offset else (b"repr-digest", b"content-digest")
        return cls(offset, declared, name, tuple(sha256 for field in fields for sha256 in _claimed(scope, field)))


class Uploads:
    """``PUT …/mlflow-artifacts/artifacts/<path>`` (MLflow's ``UploadArtifact``).

    An upload with a ``Hokusai-Upload`` header is kept for ``keep_seconds`` when its connection breaks. ``HEAD`` with
    the same header returns in ``Upload-Offset`` how much has arrived, and a PUT with ``Content-Range`` sends the rest.
    """

    def __init__(
        self,
        *,
        store: ArtifactStore,
        ledger: Ledger,
        settling: Settling,
        upload_quota: UploadQuota,
        quota: Quota,
        max_bytes: int,
        idle_seconds: float,
        keep_seconds: float = 120,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._group_commit = GroupCommit(ledger, store.staging, settling.add_files) if store.staging else None
        self._upload_quota = upload_quota
        self._quota = quota
        self._max_bytes = max_bytes
        self._idle_seconds = idle_seconds
        self._resumable = ResumableUploads(seconds=keep_seconds)

    async def put(self, place: Place, principal: Principal, scope: Scope, receive: Receive, send: Send) -> None:
        """Whatever the headers alone can rule out is refused before the body is read.

        The key is judged again before the file becomes visible: it may have been revoked while the body arrived.
        """
        quota = principal.quota.over(self._quota)
        headers = UploadHeaders.read(place, principal.key_id, scope)
        limit = self._max_bytes - headers.offset
        if headers.declared is not None and headers.declared > limit:
            raise errors.ArtifactTooLarge(limit=self._max_bytes)
        expected = await self._expected(place, Condition.of(scope))
        landing, recording = landing_of(scope), recording_of(scope)
        transfer = await self._transfer(place, quota, headers)
        async with transfer.stack:
            with self._resumable.request(headers.name) as request:
                body = Body(receive, request, declared=headers.declared, limit=limit, idle_seconds=self._idle_seconds)
                await self._receive(transfer, body, headers)
            await landing.confirm()
            if self._group_commit and (staged := await transfer.upload.stage()):
                about = (place, principal.key_id, quota, headers.digests, expected, staged)
                file = PendingFile(*about, landing.begin, recording)
                written = await self._group_commit.commit(file)
            else:
                written = await transfer.upload.finish()
                written.verify(headers.digests)
                pending = PendingRecord(place, written, principal.key_id, quota, expected, recording=recording)
                async with self._ledger.recording(pending):
                    await landing.confirm()
                    landing.begin()
                    await transfer.upload.commit()
                if recording:
                    recording.is_written = True
            transfer.reservation.release()
        proof = digests.digest_headers(written.sha256)
        await answer(send, headers=[JSON, (b"content-length", b"2"), *proof], body=b"{}")

    async def offset(self, place: Place, principal: Principal, name: str, send: Send) -> None:
        """Answers how many bytes of an upload have arrived; 0 for one that is unknown or no longer kept."""
        found = UploadName.read(place, principal.key_id, name)
        size = await self._resumable.offset(found) if found else 0
        await answer(send, status=204, headers=[(b"upload-offset", str(size).encode())])

    async def close(self) -> None:
        await self._resumable.close()
        if self._group_commit:
            await self._group_commit.close()

    async def _transfer(self, place: Place, quota: Quota, headers: UploadHeaders) -> Transfer:
        """A new one, or the suspended one that this request resumes."""
        if headers.offset and headers.name:
            if transfer := self._resumable.resume(headers.name, headers.offset):
                return transfer
            raise errors.UploadLost(offset=headers.offset)
        async with AsyncExitStack() as stack:
            reservation = await stack.enter_async_context(
                self._upload_quota.upload(place, quota, declared=headers.declared)
            )
            upload = await stack.enter_async_context(self._store.upload(place.key))
            return Transfer(upload, reservation, stack.pop_all())

    async def _receive(self, transfer: Transfer, body: Body, headers: UploadHeaders) -> None:
        start = transfer.size
        try:
            async with aclosing(body.batches()) as batches:
                async for batch in batches:
                    transfer.reservation.grow_to(start + body.size)
                    await transfer.upload.write(batch)
                    transfer.size = start + body.size
        except (errors.UploadIncomplete, errors.BodyStalled):
            if headers.name:
                self._resumable.suspend(headers.name, transfer)
            raise

    async def _expected(self, place: Place, condition: Condition) -> ExpectedVersion | None:
        """The version there now, which the request's conditions allow to be replaced; None without conditions.

        Raises ``errors.ConditionFailed``.
        """
        if not condition:
            return None
        stat, record = await self._store.stat(place.key), await self._ledger.find(place)
        known = record.sha256 if stat and record and record.describes(stat) else None
        condition.check(stat is not None, known)
        return ExpectedVersion(record.sha256 if record else None)


def _offset(rest: str, declared: int | None) -> int:
    """Where the rest of a file begins. Raises ``errors.UploadNotPlain`` unless it is the rest of a named upload."""
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
