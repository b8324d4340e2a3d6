"""Uploads whose connection broke: each is kept for a while, for its client to go on where it was."""

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

#: Header in which a client names an upload, so that it can go on with it: 16 to 64 characters of its own choice.
NAME = b"hokusai-upload"
_NAME = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)

#: Kept at a time: for one workspace, and in all. Each holds memory of some megabytes, and its part of the disk.
_MOST_OF_ONE, _MOST = 4, 64


@dataclass(slots=True, eq=False)
class Transfer:
    """One upload, over one request or several: what the store has of it, and what it has to let go of."""

    upload: Upload
    reservation: Reservation
    stack: AsyncExitStack
    size: int = 0


@dataclass(frozen=True, slots=True)
class Name:
    """What an upload is known by. Nobody else's can be meant: it is for one key and one place."""

    place: Place
    key_id: str
    text: str

    @classmethod
    def read(cls, place: Place, key_id: str, text: str | None) -> Name | None:
        """None where there is none, or one that names nothing."""
        return cls(place, key_id, text) if text and _NAME.fullmatch(text) else None


@dataclass(slots=True, eq=False)
class _Kept:
    transfer: Transfer
    timer: asyncio.TimerHandle


@dataclass(slots=True, eq=False)
class Running:
    """A request that sends an upload. ``cut`` makes it end as if its connection had broken."""

    is_cut: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _deadline: asyncio.Timeout | None = None

    def wait(self, seconds: float) -> asyncio.Timeout:
        """The bound of a wait for the client; it is over at once where the request was cut before."""
        self._deadline = asyncio.timeout(0 if self.is_cut else seconds)
        return self._deadline

    def cut(self) -> None:
        self.is_cut = True
        if self._deadline is not None:
            with suppress(RuntimeError):  # it does not wait just now
                self._deadline.reschedule(asyncio.get_running_loop().time())


class ResumableUploads:
    """Keeps transfers for ``seconds`` each, in this process; over the bound, the oldest goes."""

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        self._kept: dict[Name, _Kept] = {}
        self._running: dict[Name, Running] = {}
        self._ending: set[asyncio.Task[None]] = set()

    @contextmanager
    def under_way(self, name: Name | None) -> Iterator[Running]:
        """While the block lasts, a request sends this upload."""
        running = Running()
        if name is None:
            yield running
            return
        self._running[name] = running
        try:
            yield running
        finally:
            running.ended.set()
            if self._running.get(name) is running:
                del self._running[name]

    def keep(self, name: Name, transfer: Transfer) -> None:
        """Takes the transfer over, with all that it has to let go of."""
        self._drop(name)
        of_one = [other for other in self._kept if other.place.workspace == name.place.workspace]
        if len(of_one) >= _MOST_OF_ONE:
            self._drop(of_one[0])
        elif len(self._kept) >= _MOST:
            self._drop(next(iter(self._kept)))
        timer = asyncio.get_running_loop().call_later(self._seconds, self._drop, name)
        self._kept[name] = _Kept(replace(transfer, stack=transfer.stack.pop_all()), timer)

    async def size(self, name: Name) -> int:
        """Bytes that are there. A request that still seems to send them has lost its client: it is ended first."""
        if running := self._running.get(name):
            running.cut()
            async with asyncio.timeout(self._seconds):
                await running.ended.wait()
        kept = self._kept.get(name)
        return kept.transfer.size if kept else 0

    def take(self, name: Name, offset: int) -> Transfer | None:
        """The transfer that has exactly ``offset`` bytes; it is the caller's to close."""
        kept = self._kept.get(name)
        if kept is None or kept.transfer.size != offset:
            return None
        kept.timer.cancel()
        del self._kept[name]
        return kept.transfer

    async def close(self) -> None:
        for name in list(self._kept):
            self._drop(name)
        if self._ending:
            await asyncio.wait(self._ending)

    def _drop(self, name: Name) -> None:
        if kept := self._kept.pop(name, None):
            kept.timer.cancel()
            task = asyncio.create_task(_closed(kept.transfer), name="suspended upload")
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)


async def _closed(transfer: Transfer) -> None:
    try:
        await transfer.stack.aclose()
    except errors.HokusaiError as error:
        log.warning("an upload that nobody went on with could not be cleaned up: %s", error)
