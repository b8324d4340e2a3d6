"""Resumable uploads: one whose connection breaks is kept for a while, so that its client can continue it.

A client names an upload with a header. At any time the name is in one of three states:

- *in progress*: a request is sending it (``request``);
- *suspended*: its request broke off, and what had arrived is kept until ``resume`` or for a limited time;
- *unknown*: it never began, was completed, or was dropped.

A client may ask for the offset while its old request still seems to be in progress, because the server has not
noticed yet that the connection is dead. That request is aborted first, so that the answer stays true.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace

from hokusai import errors
from hokusai.artifacts.path import Place
from hokusai.artifacts.store import Upload
from hokusai.artifacts.upload_quota import Reservation

log = logging.getLogger("hokusai.artifacts")

#: The header in which a client names an upload, with 16 to 64 characters of its own choice.
NAME = b"hokusai-upload"
_NAME = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)

#: How many are kept at a time. Each takes some megabytes of memory, and disk space.
_MAX_PER_WORKSPACE, _MAX_TOTAL = 4, 64


@dataclass(slots=True, eq=False)
class Transfer:
    """One upload, which may take several requests. ``stack`` closes everything that it holds."""

    upload: Upload
    reservation: Reservation
    stack: AsyncExitStack
    size: int = 0


@dataclass(frozen=True, slots=True)
class UploadName:
    """The name of an upload. It belongs to one key and one place, so nobody can name the upload of another."""

    place: Place
    key_id: str
    text: str

    @classmethod
    def read(cls, place: Place, key_id: str, text: str | None) -> UploadName | None:
        """None where there is no name, or not a valid one."""
        return cls(place, key_id, text) if text and _NAME.fullmatch(text) else None


@dataclass(slots=True, eq=False)
class _Suspended:
    transfer: Transfer
    timer: asyncio.TimerHandle


@dataclass(slots=True, eq=False)
class UploadRequest:
    """A request that is sending an upload. ``abort`` makes it end as if its connection had broken."""

    is_aborted: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _timeout: asyncio.Timeout | None = None

    def wait(self, seconds: float) -> asyncio.Timeout:
        """The timeout of a wait for the client. It expires at once where the request is aborted, now or later."""
        self._timeout = asyncio.timeout(0 if self.is_aborted else seconds)
        return self._timeout

    def abort(self) -> None:
        self.is_aborted = True
        if self._timeout is not None:
            with suppress(RuntimeError):  # the wait has ended
                self._timeout.reschedule(asyncio.get_running_loop().time())


class ResumableUploads:
    """Keeps suspended transfers for ``seconds`` each, in this process. Where there are too many, the oldest goes."""

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        self._suspended: dict[UploadName, _Suspended] = {}
        self._requests: dict[UploadName, UploadRequest] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @contextmanager
    def request(self, name: UploadName | None) -> Iterator[UploadRequest]:
        """While the block runs, a request is sending this upload."""
        request = UploadRequest()
        if name is None:
            yield request
            return
        self._requests[name] = request
        try:
            yield request
        finally:
            request.ended.set()
            if self._requests.get(name) is request:
                del self._requests[name]

    def suspend(self, name: UploadName, transfer: Transfer) -> None:
        """Keep the transfer for ``resume``, and take over what its ``stack`` has to close."""
        self._drop(name)
        of_workspace = [other for other in self._suspended if other.place.workspace == name.place.workspace]
        if len(of_workspace) >= _MAX_PER_WORKSPACE:
            self._drop(of_workspace[0])
        elif len(self._suspended) >= _MAX_TOTAL:
            self._drop(next(iter(self._suspended)))
        timer = asyncio.get_running_loop().call_later(self._seconds, self._drop, name)
        self._suspended[name] = _Suspended(replace(transfer, stack=transfer.stack.pop_all()), timer)

    async def offset(self, name: UploadName) -> int:
        """How many bytes have arrived; 0 for an unknown name. A request that is still in progress is aborted first."""
        if request := self._requests.get(name):
            request.abort()
            async with asyncio.timeout(self._seconds):
                await request.ended.wait()
        suspended = self._suspended.get(name)
        return suspended.transfer.size if suspended else 0

    def resume(self, name: UploadName, offset: int) -> Transfer | None:
        """The transfer, where exactly ``offset`` bytes of it have arrived. The caller closes its ``stack``."""
        suspended = self._suspended.get(name)
        if suspended is None or suspended.transfer.size != offset:
            return None
        suspended.timer.cancel()
        del self._suspended[name]
        return suspended.transfer

    async def close(self) -> None:
        for name in list(self._suspended):
            self._drop(name)
        if self._closing:
            await asyncio.wait(self._closing)

    def _drop(self, name: UploadName) -> None:
        if suspended := self._suspended.pop(name, None):
            suspended.timer.cancel()
            task = asyncio.create_task(_close(suspended.transfer), name="dropped upload")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


async def _close(transfer: Transfer) -> None:
    try:
        await transfer.stack.aclose()
    except errors.HokusaiError as error:
        log.warning("an interrupted upload that was not resumed could not be cleaned up: %s", error)
