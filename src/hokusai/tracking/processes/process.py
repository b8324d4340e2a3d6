"""One MLflow process, as the gateway sees it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from hokusai.tracking.processes import channel

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_NICE = 10

#: The share of the time from which on a request kept a processor busy, rather than waited.
_COMPUTING = 0.1


class Killed(Enum):
    """Why a process was ended in the middle of a request."""

    MEMORY = "memory"
    PRESSURE = "pressure"  # it had most of the memory of all processes together
    DEADLINE = "deadline"  # it waited, for its database or for a turn on a processor
    PROCESSOR = "processor"  # it computed all the time
    ABANDONED = "abandoned"  # its client has gone


class ProcessEnded(Exception):
    """The process ended before it answered; ``reason`` is None where nobody here had it killed."""

    def __init__(self, reason: Killed | None) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True, eq=False)
class MlflowProcess:
    """Answers one request at a time.

    ``spare`` is set where another process was started beside it; it is retired after its request.
    """

    pid: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    memory: int  # resident bytes that are its own, when it was new
    began: float | None = None  # when its request began; None while it is idle
    spare: bool = False
    low: bool = False  # it runs at a low priority, which cannot be raised again
    killed: Killed | None = None
    abandonment: asyncio.Task[None] | None = None  # waits for the client of its request to go
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _measured: tuple[float, float] = (0.0, 0.0)  # a time of its request, and the processor time used by then

    async def call(self, head: dict[str, object], body: bytes) -> channel.Message:
        """Raises ``ProcessEnded``."""
        self.began = time.monotonic()
        try:
            self.writer.write(channel.encode(head, body))
            await self.writer.drain()
            return await channel.read(self.reader)
        except (OSError, EOFError) as error:
            raise ProcessEnded(self.killed) from error
        finally:
            self.began = None

    @property
    def seconds(self) -> float:
        """How long its request has taken so far; 0 while it is idle."""
        return 0.0 if self.began is None else time.monotonic() - self.began

    def measure(self) -> None:
        """Begin to measure how its request uses the processor."""
        self._measured = time.monotonic(), processor_seconds(self.pid)

    @property
    def used(self) -> float:
        """Processor seconds since ``measure``; those that passed, where it has ended and nobody can tell."""
        since, before = self._measured
        now = processor_seconds(self.pid)
        return now - before if now else time.monotonic() - since

    def lower(self) -> None:
        """Give it what others leave of the processors."""
        self.low = True
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self.pid, _NICE)

    @property
    def computes(self) -> bool:
        """Whether its request has kept a processor busy, rather than waited: for a database, or for a lock."""
        since, before = self._measured
        return processor_seconds(self.pid) - before > (time.monotonic() - since) * _COMPUTING

    @property
    def growth(self) -> int:
        """Bytes of memory it has taken since it was new."""
        return own_memory(self.pid) - self.memory


def own_memory(pid: int) -> int:
    """Resident bytes of a process that are in no file; 0 where the system does not tell (proc_pid_statm(5))."""
    try:
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text("ascii").split()
    except OSError:
        return 0
    return (int(resident) - int(shared)) * _PAGE


def processor_seconds(pid: int) -> float:
    """User and system time of a process so far; 0 where the system does not tell (proc_pid_stat(5))."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS
