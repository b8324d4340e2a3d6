"""Groups ``artifacts`` and ``proxy``: files are uploaded and downloaded unchanged, small, large and slowly."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import zlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from hokusai.doctor.examination import (
    HOKUSAI_ONLY,
    Examination,
    Outcome,
    declare_check,
    failed,
    passed,
    skipped,
)
from hokusai.doctor.probe import Answer
from hokusai.mlflow_api import ARTIFACTS, MULTIPART, SERVER_INFO

_LARGE_BYTES = 9 * 2**20
_PAUSE_SECONDS = 4.0
_EARLY_SECONDS = 2.5
_TRIES = 8
_BLOCK = 64 * 1024


@declare_check(
    id="artifact-small",
    title="A small file is uploaded and downloaded",
    layer="artifacts",
    group="artifacts",
    needs=("tracking",),
)
async def small(exam: Examination) -> Outcome:
    """Uploaded, listed and downloaded unchanged; and a file that does not exist is not found."""
    path = f"{exam.facts.root}/doctor/größe 100%.txt"
    _remove_files_later(exam)
    content = b"a small file\n"
    sent = await exam.file("PUT", path, content=content)
    if not sent.ok:
        return failed(sent)
    exam.facts.sent[path] = hashlib.sha256(content).hexdigest()
    listed = await exam.api("GET", ARTIFACTS, query={"path": f"{exam.facts.root}/doctor"})
    if not listed.ok or "größe 100%.txt" not in str(listed.document):
        return await _lost(exam, path, listed, "the file is not in the list")
    found = await exam.file("GET", path)
    if not found.ok or found.body != content:
        return await _lost(exam, path, found, "the file cannot be downloaded")
    return await _missing(exam, sent, listed, found)


async def _lost(exam: Examination, path: str, seen: Answer, note: str) -> Outcome:
    """Lost everywhere, or present on some connections: then it is on another replica."""
    if seen.status not in {200, 404}:
        return failed(seen, note=note)
    again = [await exam.file("GET", path, fresh=True) for _ in range(_TRIES)]
    present = sum(one.ok for one in again)
    symptom = "replicas-disagree" if 0 < present < _TRIES else "upload-lost"
    return failed(seen, note=f"{note}; found in {present} of {_TRIES} further requests", symptoms=[symptom])


async def _missing(exam: Examination, *before: Answer) -> Outcome:
    gone = await exam.file("GET", f"{exam.name}-not-there/nothing.txt")
    if "./mlartifacts" in gone.text:
        note = "files are kept in MLflow's default directory: no destination was set"
        return failed(gone, note=note, symptoms=["default-destination"])
    if gone.ok:
        return failed(gone, note="a file that does not exist was answered with 200")
    return passed(*before)


@declare_check(
    id="artifact-integrity",
    title="Stored files are the ones that were uploaded",
    layer="artifacts",
    group="artifacts",
    needs=("ready?",),
    kinds=HOKUSAI_ONLY,
)
async def integrity(exam: Examination) -> Outcome:
    """The server compares a file with its record when it is read, and counts those that do not fit."""
    found = await exam.ask("GET", "/ready")
    parts = found.document.get("checks")
    store = parts.get("artifacts") if isinstance(parts, dict) else None
    if not isinstance(store, dict) or not isinstance(damaged := store.get("damaged"), int):
        return skipped("the server does not say how many files do not fit their records", optional=True)
    if damaged:
        note = f"stored files that do not fit their records: {damaged}"
        return failed(found, note=note, symptoms=["files-damaged"])
    return passed(found, note="of the files that were read, all fit their records")


@declare_check(
    id="artifact-download",
    title="A compressed file is downloaded unchanged",
    layer="proxy",
    group="artifacts",
    needs=("artifact-small",),
)
async def download(exam: Examination) -> Outcome:
    """Nothing on the way decompresses the file or cuts it short."""
    content = gzip.compress(_noise(20_000) + bytes(200_000), mtime=0)
    path = f"{exam.facts.root}/doctor/model.tar.gz"
    sent = await exam.file("PUT", path, content=content, headers={"Content-Type": "application/gzip"})
    if not sent.ok:
        return failed(sent)
    found = await exam.file("GET", path, headers={"Accept-Encoding": "gzip"})
    if found.failure or _decoded(found) != content:
        stated = found.headers.get("content-length", "no length")
        note = f"{found.size} bytes came, {len(content)} were sent, Content-Length: {stated}"
        return failed(found, note=note, symptoms=_differs(found))
    return passed(sent, found)


def _decoded(found: Answer) -> bytes:
    """The file, also where something compressed it for the transfer only (RFC 9110, 8.4)."""
    if found.headers.get("content-encoding") != "gzip":
        return found.body
    try:
        return gzip.decompress(found.body)
    except (OSError, EOFError, zlib.error):
        return b""


def _differs(found: Answer) -> list[str]:
    """An answer that is not a file is not a changed file."""
    return ["download-differs"] if found.status == 200 else []


@declare_check(
    id="artifact-large",
    title="A file over 8 MB is uploaded and downloaded",
    layer="artifacts",
    group="artifacts",
    needs=("artifact-small",),
    seconds=30,
)
async def large(exam: Examination) -> Outcome:
    content = _noise(_LARGE_BYTES)
    path = f"{exam.facts.root}/doctor/large.bin"
    sent = await exam.file("PUT", path, content=content)
    if not sent.ok:
        return failed(sent)
    found = await exam.file("GET", path)
    if found.failure or found.sha256 != hashlib.sha256(content).hexdigest():
        return failed(found, note=f"{found.size} of {_LARGE_BYTES} bytes came back", symptoms=_differs(found))
    return passed(sent, found)


@declare_check(
    id="artifact-slow",
    title="An upload that pauses is not cut off",
    layer="proxy",
    group="artifacts",
    needs=("artifact-small",),
    seconds=30,
)
async def slow(exam: Examination) -> Outcome:
    """Pauses in the middle, as on a poor connection."""
    content = _noise(4 * _BLOCK)

    async def pausing() -> AsyncIterator[bytes]:
        yield content[:_BLOCK]
        await asyncio.sleep(_PAUSE_SECONDS)
        yield content[_BLOCK:]

    path = f"{exam.facts.root}/doctor/slow.bin"
    sent = await exam.file("PUT", path, content=pausing(), headers={"Content-Length": str(len(content))})
    note = f"after a pause of {_PAUSE_SECONDS:g} s"
    return passed(sent) if sent.ok else failed(sent, note=note, symptoms=["paused"])


@declare_check(
    id="buffering",
    title="Uploads are passed on as they arrive",
    layer="proxy",
    group="proxy",
    needs=("strangers",),
    kinds=HOKUSAI_ONLY,
    seconds=30,
)
async def buffering(exam: Examination) -> Outcome:
    """An upload without a key is refused before its body is complete, unless something collects bodies first.

    A busy server takes its time as well. So if no refusal comes, the same upload is sent complete, later:
    only if that one is answered and the incomplete one still is not, bodies are collected.
    """
    url = f"{exam.target.api}{ARTIFACTS}/{exam.name}/x"
    start = bytes(1024)
    head = {"Content-Length": str(2**20), "Connection": "close"}
    try:
        async with exam.probe.unfinished("PUT", url, headers=head, start=start) as upload:
            early = await upload.reply(_EARLY_SECONDS)
            if early is None:
                complete = await exam.probe.ask("PUT", url, content=start, fresh=True)
                if complete.failure:
                    return failed(complete, note="an upload without a key is not answered")
                early = await upload.reply(_EARLY_SECONDS)
    except OSError as error:
        return failed(note=f"the connection for an upload failed: {error}")
    return _judged(early)


def _judged(early: bytes | None) -> Outcome:
    """What the answer to an incomplete upload says."""
    if early is None:
        note = "a complete upload is answered and an incomplete one is not: whole bodies are collected first"
        return failed(note=note, symptoms=["body-collected"])
    status = early.split(b"\r\n", 1)[0].decode("ascii", "replace")
    if early.startswith(b"HTTP/1.1 401"):
        return passed(note=f"{status}, before the body was complete")
    return skipped(f"the upload was not refused with 401, but with: {status or 'a closed connection'}", optional=True)


@declare_check(
    id="multipart",
    title="Parts of large files can be uploaded",
    layer="artifacts",
    group="artifacts",
    needs=("artifact-small",),
)
async def multipart(exam: Examination) -> Outcome:
    """Where the server offers uploads in parts, the addresses it gives can be reached from here."""
    info = await exam.api("GET", SERVER_INFO)
    if exam.target.kind == "hokusai" and not info.document.get("multipart_uploads_enabled"):
        return passed(info, note="the server offers no uploads in parts")
    made = await _begin_parts(exam)
    if not made.ok:
        return passed(made, note="the server offers no uploads in parts")
    parts = made.document.get("credentials") or [{}]
    url = str(parts[0].get("url", ""))
    sent = await exam.probe.ask("PUT", url, content=b"part")
    note = f"parts are sent to {urlsplit(url).hostname}"
    return passed(sent, note=note) if sent.ok else failed(sent, note=note, symptoms=["parts-unreachable"])


async def _begin_parts(exam: Examination) -> Answer:
    """Begins an upload in parts, which is aborted at the end."""
    path, directory = "parts.bin", f"{exam.facts.root}/doctor"

    async def abort(made: Answer) -> str | None:
        if not made.ok:
            return None
        begun = {"path": path, "upload_id": made.document.get("upload_id")}
        aborted = await exam.api("POST", f"{MULTIPART}/abort/{directory}", body=begun)
        return None if aborted.ok else f"an upload in parts to {directory}"

    create = exam.api("POST", f"{MULTIPART}/create/{directory}", body={"path": path, "num_parts": 1})
    return await exam.cleanup.after(create, abort)


def _noise(size: int) -> bytes:
    """Bytes that cannot be compressed, the same each time (SHAKE-256)."""
    return hashlib.shake_256(b"hokusai").digest(size)


def _remove_files_later(exam: Examination) -> None:
    """The files of the run. Deleting needs a permission that a key which may write can lack."""

    async def remove() -> str | None:
        answer = await exam.delete(f"{ARTIFACTS}/{exam.facts.root}/doctor")
        if answer.code == "HK1201":
            return f"files below {exam.facts.root}: the key lacks artifacts:delete"
        return None if answer.ok or answer.status == 404 else f"files below {exam.facts.root}"

    exam.cleanup.add(remove)
