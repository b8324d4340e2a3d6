"""Group ``artifacts`` and ``proxy``: files go up and come down as they were, small, large and slowly."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import zlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from hokusai import mlflow_api
from hokusai.doctor.answer import Answer
from hokusai.doctor.check import Outcome, failed, passed, skipped
from hokusai.doctor.examination import FILES, Examination

_PARTS = mlflow_api.MULTIPART
LARGE_BYTES = 9 * 2**20
PAUSE_SECONDS = 4.0
_EARLY_SECONDS = 2.5
_TRIES = 8
_BLOCK = 64 * 1024


async def small(exam: Examination) -> Outcome:
    """Up, listed, down, the same; and one that is not there is not there."""
    path = f"{exam.learnt.root}/doctor/größe 100%.txt"
    _forget_files(exam)
    content = b"a small file\n"
    sent = await exam.file("PUT", path, content=content)
    if not sent.ok:
        return failed(sent)
    exam.learnt.sent[path] = hashlib.sha256(content).hexdigest()
    listed = await exam.api("GET", FILES, query={"path": f"{exam.learnt.root}/doctor"})
    if not listed.ok or "größe 100%.txt" not in str(listed.document):
        return await _lost(exam, path, listed, "it is not in the list")
    found = await exam.file("GET", path)
    if not found.ok or found.body != content:
        return await _lost(exam, path, found, "it does not come back")
    return await _absent(exam, sent, listed, found)


async def _lost(exam: Examination, path: str, seen: Answer, note: str) -> Outcome:
    """Lost everywhere, or there on some connections: then another replica has it."""
    if seen.status not in {200, 404}:
        return failed(seen, note=note)
    again = [await exam.file("GET", path, fresh=True) for _ in range(_TRIES)]
    there = sum(one.ok for one in again)
    sign = "replicas-disagree" if 0 < there < _TRIES else "upload-lost"
    return failed(seen, note=f"{note}; asked {_TRIES} times more, it is there {there} times", signs=[sign])


async def _absent(exam: Examination, *before: Answer) -> Outcome:
    gone = await exam.file("GET", f"{exam.name}-not-there/nothing.txt")
    if "./mlartifacts" in gone.body.decode("utf-8", "replace"):
        return failed(gone, note="files go to a directory that nobody chose", signs=["default-destination"])
    if gone.ok:
        return failed(gone, note="a file that is not there was answered")
    return passed(*before)


async def download(exam: Examination) -> Outcome:
    """A compressed file comes down byte for byte: nobody on the way unpacks it or loses its end."""
    content = gzip.compress(_noise(20_000) + bytes(200_000), mtime=0)
    path = f"{exam.learnt.root}/doctor/model.tar.gz"
    sent = await exam.file("PUT", path, content=content, headers={"Content-Type": "application/gzip"})
    if not sent.ok:
        return failed(sent)
    found = await exam.file("GET", path, headers={"Accept-Encoding": "gzip"})
    if found.trouble or _uncoded(found) != content:
        stated = found.headers.get("content-length", "no length")
        note = f"{found.size} bytes came, {len(content)} were sent, {stated} stated"
        return failed(found, note=note, signs=_differs(found))
    return passed(sent, found)


def _uncoded(found: Answer) -> bytes:
    """The file, where somebody on the way has packed it for the way alone (RFC 9110, 8.4)."""
    if found.headers.get("content-encoding") != "gzip":
        return found.body
    try:
        return gzip.decompress(found.body)
    except (OSError, EOFError, zlib.error):
        return b""


def _differs(found: Answer) -> list[str]:
    """Another answer than a file is no changed file."""
    return ["download-differs"] if found.status == 200 else []


async def large(exam: Examination) -> Outcome:
    """More than 8 MB, up and down."""
    content = _noise(LARGE_BYTES)
    path = f"{exam.learnt.root}/doctor/large.bin"
    sent = await exam.file("PUT", path, content=content)
    if not sent.ok:
        return failed(sent)
    found = await exam.file("GET", path)
    if found.trouble or found.sha256 != hashlib.sha256(content).hexdigest():
        return failed(found, note=f"{found.size} of {LARGE_BYTES} bytes came back", signs=_differs(found))
    return passed(sent, found)


async def slow(exam: Examination) -> Outcome:
    """An upload that pauses, as on a poor line: who gives up first?"""
    content = _noise(4 * _BLOCK)

    async def pausing() -> AsyncIterator[bytes]:
        yield content[:_BLOCK]
        await asyncio.sleep(PAUSE_SECONDS)
        yield content[_BLOCK:]

    path = f"{exam.learnt.root}/doctor/slow.bin"
    length = {"Content-Length": str(len(content))}
    sent = await exam.file("PUT", path, content=pausing(), headers=length)
    note = f"after a pause of {PAUSE_SECONDS:g} s"
    return passed(sent) if sent.ok else failed(sent, note=note, signs=["paused"])


async def buffering(exam: Examination) -> Outcome:
    """An upload without a key is refused before its body is there, unless someone collects bodies first."""
    head = {"Content-Length": str(2**20), "Connection": "close"}
    url = f"{exam.target.api}{FILES}/{exam.name}/x"
    early = await exam.probe.begin("PUT", url, headers=head, start=bytes(1024), wait=_EARLY_SECONDS)
    status = early.split(b"\r\n", 1)[0].decode("ascii", "replace")
    if early.startswith(b"HTTP/1.1 401"):
        return passed(note=f"{status}, while the body was still to come")
    if early:
        return skipped(f"the refusal was another: {status}", matters=False)
    return failed(
        note=f"nothing for {_EARLY_SECONDS} s: the whole body is collected before it is passed on",
        signs=["body-collected"],
    )


async def multipart(exam: Examination) -> Outcome:
    """Where the server offers uploads in parts, their addresses can be reached from here."""
    info = await exam.api("GET", mlflow_api.SERVER_INFO)
    offered = bool(info.document.get("multipart_uploads_enabled"))
    if exam.target.kind == "hokusai" and not offered:
        return passed(info, note="no uploads in parts are offered")
    body = {"path": "parts.bin", "num_parts": 1}
    place = f"{exam.learnt.root}/doctor"

    async def stop(made: Answer) -> str | None:
        begun = {"path": body["path"], "upload_id": made.document.get("upload_id")}
        done = made.ok and await exam.api("POST", f"{_PARTS}/abort/{place}", body=begun)
        return f"an upload in parts to {place}" if done and not done.ok else None

    made = await exam.cleanup.made(exam.api("POST", f"{_PARTS}/create/{place}", body=body), stop)
    if not made.ok:
        return passed(made, note="no uploads in parts are offered")
    parts = made.document.get("credentials") or [{}]
    url = str(parts[0].get("url", ""))
    sent = await exam.probe.ask("PUT", url, content=b"part")
    note = f"parts go to {urlsplit(url).hostname}"
    return passed(sent, note=note) if sent.ok else failed(sent, note=note, signs=["parts-unreachable"])


def _noise(size: int) -> bytes:
    """Bytes that nothing compresses, the same each time (SHAKE-256)."""
    return hashlib.shake_256(b"hokusai").digest(size)


def _forget_files(exam: Examination) -> None:
    """With the run they belong to. Deleting needs a right of its own, which a key that writes may lack."""

    async def remove() -> str | None:
        answer = await exam.clean("DELETE", f"{FILES}/{exam.learnt.root}/doctor")
        if answer.code == "HK1201":
            return f"files below {exam.learnt.root}: the key lacks artifacts:delete"
        return None if answer.ok or answer.status == 404 else f"files below {exam.learnt.root}"

    exam.cleanup.add(remove)
