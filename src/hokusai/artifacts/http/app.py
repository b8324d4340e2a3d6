"""The mlflow-artifacts API as an ASGI app (MLflow 3.17, ``mlflow_artifacts.proto``)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from hokusai import errors, mlflow_api
from hokusai.artifacts import resumable
from hokusai.artifacts.http.conditions import Condition
from hokusai.artifacts.http.download import Downloads
from hokusai.artifacts.http.responses import JSON, answer, header, stream
from hokusai.artifacts.http.upload import Uploads
from hokusai.artifacts.integrity import Integrity
from hokusai.artifacts.ledger import Deleted, Ledger
from hokusai.artifacts.path import ArtifactPath, Place, place
from hokusai.artifacts.record import Record
from hokusai.artifacts.settling import Settling
from hokusai.artifacts.store import ArtifactStore, Entry, Staging
from hokusai.artifacts.upload_quota import UploadQuota
from hokusai.audit import Recording, recording_of
from hokusai.identity import Quota, principal_of
from hokusai.text import invisible

ROUTE = mlflow_api.ARTIFACTS.encode()
_MULTIPART = mlflow_api.MULTIPART.encode() + b"/create/"
_UNLIMITED = Quota()


class ArtifactsApp:
    """Lists, uploads, downloads and deletes the artifacts of the caller's workspace.

    Expects the gateway's principal in the scope and a canonical ``raw_path``; the gateway has checked permissions.
    Raises ``errors.HokusaiError`` for the gateway to render, as long as the response has not begun. After that, the
    response is cut short, which the client notices by ``Content-Length``.

    ``max_upload_bytes`` limits one file. ``quota`` limits a workspace that has no quota of its own, and ``max_uploads``
    the uploads of each workspace at a time, in this process. ``idle_seconds`` is how long a sender may pause, and
    ``stall_seconds`` how long a reader may take for one MiB. ``on_damage`` is called for each download that is refused
    because the stored file is not the recorded one. What an interrupted change left is settled every
    ``settle_seconds``.
    """

    def __init__(
        self,
        *,
        store: ArtifactStore,
        ledger: Ledger,
        max_upload_bytes: int,
        idle_seconds: float,
        stall_seconds: float = 300,
        quota: Quota = _UNLIMITED,
        max_uploads: int = 1_000,
        on_damage: Callable[[], None] = lambda: None,
        settle_seconds: float = 2,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._stall_seconds = stall_seconds
        self._settling = Settling(store, ledger, seconds=settle_seconds)
        self._uploads = Uploads(
            store=store,
            ledger=ledger,
            settling=self._settling,
            upload_quota=UploadQuota(ledger, max_uploads=max_uploads),
            quota=quota,
            max_bytes=max_upload_bytes,
            idle_seconds=idle_seconds,
        )
        self._integrity = Integrity(store, ledger, self._settling, on_refusal=on_damage)
        self._downloads = Downloads(store=store, integrity=self._integrity, stall_seconds=stall_seconds)

    async def start(self) -> None:
        """Settle what a killed process left, before anything is served."""
        await self._settling.start()

    @property
    def found_interrupted(self) -> bool:
        """Whether a killed process had left something at the start."""
        return self._settling.found_interrupted

    async def close(self) -> None:
        """Waits for uploads that are being committed."""
        await self._integrity.close()
        await self._uploads.close()
        await self._settling.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal = principal_of(scope)
        if principal.workspace is None:
            raise errors.WorkspaceNone()
        if scope["raw_path"].startswith(_MULTIPART):
            raise errors.PartsNotOffered()
        method, remainder = scope["method"], scope["raw_path"].removeprefix(ROUTE)
        if remainder in {b"", b"/"} and method in {"GET", "HEAD"}:
            await self._list(principal.workspace, scope, receive, send)
            return
        found = _named(remainder, method, principal.workspace)
        if method == "GET":
            await self._downloads.get(found, scope, receive, send)
        elif method == "HEAD" and (name := header(scope, resumable.NAME)):
            await self._uploads.offset(found, principal, name, send)
        elif method == "HEAD":
            await self._downloads.head(found, scope, send)
        elif method == "PUT":
            await self._uploads.put(found, principal, scope, receive, send)
        elif method == "DELETE":
            await self._delete(found, Condition.of(scope), scope, send)
        else:
            raise errors.RouteUnknown(method=method, path=scope["path"], base=mlflow_api.TRACKING_PREFIX)

    async def _list(self, workspace: str, scope: Scope, receive: Receive, send: Send) -> None:
        """``ListArtifacts``. As in MLflow, a file and an unknown directory give an empty list."""
        found = _listed_directory(scope["query_string"], workspace)
        if isinstance(found, errors.ArtifactUnknown):
            await answer(send, headers=[JSON], body=b'{"files": []}')
        elif isinstance(found, errors.HokusaiError):
            raise found
        else:
            await stream(self._listing(found), receive, send, headers=[JSON], stall_seconds=self._stall_seconds)

    async def _listing(self, found: Place) -> AsyncGenerator[bytes, None]:
        """The JSON document of a listing, a page at a time."""
        before = b'{"files": ['
        async with aclosing(self._store.list(found.key)) as pages:
            async for page in pages:
                yield before + b", ".join(json.dumps(_info(entry)).encode() for entry in page)
                before = b", "
        yield b"]}" if before == b", " else b'{"files": []}'

    async def _delete(self, found: Place, condition: Condition, scope: Scope, send: Send) -> None:
        record = await self._ledger.find(found) if condition else None
        recording = recording_of(scope)
        if staging := self._store.staging:
            await self._remove(staging, found, condition, record, recording)
        else:
            await self._check(found, condition, record)
            intent = await self._ledger.intend_deletion(found, principal_of(scope).key_id)
            removed = await self._store.delete(found.key)
            if not await self._ledger.delete(found, intent, recording, removed=removed) and not removed:
                raise found.unknown
        if recording:
            recording.is_written = True
        await answer(send, headers=[JSON, (b"content-length", b"2")], body=b"{}")

    async def _remove(
        self,
        staging: Staging,
        found: Place,
        condition: Condition,
        record: Record | None,
        recording: Recording | None,
    ) -> None:
        """Files and records in one transaction: where it fails, the files come back."""
        removal, committing = None, False
        records: Sequence[Deleted] = ()
        try:
            async with self._ledger.deleting(found, recording) as records:
                await self._check(found, condition, record)
                removal = await staging.remove(found.key, {one.staged: one.place.key for one in records if one.staged})
                if not removal and not records:
                    raise found.unknown
                committing = True
        except BaseException as error:
            if removal is None:
                raise
            if not await asyncio.shield(self._settling.removal(removal, in_doubt=committing and bool(records))):
                raise errors.OutcomeUnknown() from error
            raise
        if removal:
            await removal.purge()

    async def _check(self, found: Place, condition: Condition, record: Record | None) -> None:
        """Raises ``errors.ConditionFailed``. A condition applies to a file, never to a directory.

        Where the file was replaced after ``record`` was read, the record does not describe it any more.
        """
        if not condition:
            return
        if not (stat := await self._store.stat(found.key)):
            raise found.unknown
        condition.check(exists=True, sha256=record.sha256 if record and record.describes(stat) else None)


def _named(remainder: bytes, method: str, workspace: str) -> Place:
    """The place that a path names. Raises the refusal. An upload or deletion may not name a whole workspace.

    A new file shows all of its name; one that is there is read and deleted by whatever name it has.
    """
    raw = remainder.removeprefix(b"/")
    if method == "DELETE":
        raw = raw.removesuffix(b"/")  # MLflow's client deletes all of an artifact URI as ``<path>/``
    found = _found(ArtifactPath.decode(raw), workspace)
    if isinstance(found, errors.HokusaiError):
        raise found
    if not found.path and method in {"PUT", "DELETE"}:
        raise errors.ArtifactPathInvalid(reason="it names the whole workspace")
    if method == "PUT" and (hidden := invisible(found.path, joiners=True)):
        raise errors.ArtifactPathInvalid(reason=hidden)
    return found


def _found(path: ArtifactPath | errors.ArtifactPathInvalid, workspace: str) -> Place | errors.HokusaiError:
    return place(path, workspace) if isinstance(path, ArtifactPath) else path


def _listed_directory(query: bytes, workspace: str) -> Place | errors.HokusaiError:
    """The directory that ``?path=`` names; without it, the workspace's root."""
    try:
        fields = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=16)
    except ValueError:
        return errors.ArtifactPathInvalid(reason="the query is not percent-encoded UTF-8")
    paths = [value for name, value in fields if name == "path"]
    if len(paths) > 1:
        return errors.ArtifactPathInvalid(reason="'path' is given twice")
    text = paths[0].removesuffix("/") if paths else ""
    return _found(ArtifactPath.read(text) if text else ArtifactPath(""), workspace)


def _info(entry: Entry) -> dict[str, object]:
    """MLflow's ``FileInfo``. As in MLflow's own answers, ``path`` is only the name."""
    if entry.size is None:
        return {"path": entry.name, "is_dir": True}
    return {"path": entry.name, "is_dir": False, "file_size": entry.size}
