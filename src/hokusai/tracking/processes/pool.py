"""The MLflow processes of this server process: started, watched, replaced, ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from hokusai import errors
from hokusai.tracking.engine import MAX_ANSWER_BYTES
from hokusai.tracking.processes import channel
from hokusai.tracking.processes.fair_queue import Gone
from hokusai.tracking.processes.fork_server_client import ForkServerClient
from hokusai.tracking.processes.process import Killed, MlflowProcess, ProcessEnded

log = logging.getLogger("hokusai.tracking")

MLFLOW = "hokusai.tracking.processes.mlflow_app:load"

#: A request that takes longer lets another process be started beside its own.
SLOW_SECONDS = 0.5
#: How often busy processes are looked at.
_WATCH_SECONDS = 0.05
#: The share of the memory limit that a process may keep between two requests.
_KEPT = 0.25
_TAKE_SECONDS = 5
_MIN_BACKOFF, _MAX_BACKOFF = 0.5, 30.0  # seconds before a fork server that ended is replaced


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may take of a process: ``seconds`` in all, and ``memory_bytes`` beyond what it began with."""

    seconds: float
    memory_bytes: int
    answer_bytes: int = MAX_ANSWER_BYTES


class Pool:
    """Keeps ``size`` processes ready, and up to ``spares`` more beside those whose requests are slow.

    All of them together may take ``size`` times the memory of one request. ``resized`` is told when there are more
    places for requests, or fewer; ``on_killed`` why a process was killed. ``app`` names the function that loads what
    the processes run, and its routes.
    """

    def __init__(
        self,
        database_url: str,
        *,
        size: int,
        spares: int,
        limits: Limits,
        resized: Callable[[int], None],
        on_killed: Callable[[str], None],
        app: str = MLFLOW,
        log_json: bool = False,
    ) -> None:
        self.limits = limits
        self.routes: list[tuple[str, str]] = []
        self._settings = {
            "app": app,
            "database_url": database_url,
            "memory_bytes": limits.memory_bytes,
            "max_answer_bytes": limits.answer_bytes,
            "log_level": logging.getLevelName(log.getEffectiveLevel()),
            "log_json": log_json,
        }
        self._size = size
        self._spares = spares
        self._resized = resized
        self._on_killed = on_killed
        self._fork_server: ForkServerClient | None = None
        # The last one first: a process that was used a moment ago is quicker than a new one.
        self._idle: asyncio.LifoQueue[MlflowProcess] = asyncio.LifoQueue()
        self._idle_low: list[MlflowProcess] = []
        self._processes: set[MlflowProcess] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._busy = asyncio.Event()
        self._closing = False

    async def start(self) -> None:
        """Returns when the first process is ready. Raises an ``errors.StartError``, or ``errors.TrackingDown``."""
        await self._start_fork_server()
        self._spawn(self._watch(), "mlflow-watch")
        self._spawn(self._keep_fork_server(), "mlflow-restart")

    async def close(self) -> None:
        """Returns when every process has ended."""
        self._closing = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._fork_server is not None:
            await self._fork_server.close()
        for process in self._processes:
            process.writer.close()
            with contextlib.suppress(OSError):
                await process.writer.wait_closed()

    @property
    def ready(self) -> bool:
        """Whether processes can be started. At a moment there may be none: tenants' requests had them killed."""
        return self._fork_server is not None and not self._fork_server.lost.is_set()

    async def call(
        self,
        head: dict[str, object],
        body: bytes,
        *,
        gone: Gone | None = None,
        low: bool = False,
        used: Callable[[float], None] = lambda _: None,
    ) -> channel.Message:
        """One process's answer. A request with ``gone`` is given up when nobody waits for its answer any more.

        A ``low`` one gets what others leave of the processors. ``used`` is told how many processor seconds it took.
        Raises ``ProcessEnded``, or ``errors.TrackingDown`` where there is no process within the time a request has.
        """
        process = await (self._take_low() if low else self._take())
        slow = asyncio.get_running_loop().call_later(SLOW_SECONDS, self._is_slow, process, gone)
        process.measure()
        try:
            async with asyncio.timeout(self.limits.seconds + _TAKE_SECONDS):  # it is killed before; if not, it is lost
                answer = await process.call(head, body)
        except TimeoutError:
            self._discard(process)
            raise ProcessEnded(Killed.DEADLINE) from None
        except BaseException:
            self._discard(process)
            raise
        finally:
            used(process.used)
            slow.cancel()
            if process.abandonment is not None:
                process.abandonment.cancel()
                process.abandonment = None
        if self._closing or process.spare or "failed" in answer[0] or self._keeps_too_much(process):
            self._discard(process)
        elif process.low:
            self._idle_low.append(process)
        else:
            self._idle.put_nowait(process)
        return answer

    def _keeps_too_much(self, process: MlflowProcess) -> bool:
        """What one request leaves behind does not count against the next one."""
        return process.growth > self.limits.memory_bytes * _KEPT

    async def _take(self) -> MlflowProcess:
        """An idle process; one is being started where there is none. Raises ``errors.TrackingDown``."""
        self._busy.set()
        try:
            async with asyncio.timeout(_TAKE_SECONDS):
                while (process := await self._idle.get()).ended.is_set():
                    pass
                return process
        except TimeoutError:
            raise errors.TrackingDown() from None

    async def _take_low(self) -> MlflowProcess:
        """As ``_take``, one of a low priority: there are as many of them as of the others, at most."""
        while self._idle_low:
            if not (process := self._idle_low.pop()).ended.is_set():
                self._busy.set()
                return process
        if sum(one.low for one in self._processes) < self._size and (found := await self._fork()):
            found.lower()
            self._busy.set()
            return found
        return await self._take()

    def _discard(self, process: MlflowProcess) -> None:
        """End a process, and start another one in its place unless one was started already."""
        process.writer.close()
        process.ended.set()
        if process not in self._processes:
            return
        self._processes.discard(process)
        if self._fork_server is not None:
            self._fork_server.kill(process.pid)
        if process.spare:
            self._resized(-1)
        if not (process.spare or process.low or self._closing):
            self._spawn(self._add(), "mlflow-start")

    async def _add(self) -> None:
        if process := await self._fork():
            self._idle.put_nowait(process)

    async def _fork(self) -> MlflowProcess | None:
        fork_server = self._fork_server
        if fork_server is None or fork_server.lost.is_set():
            return None  # the next fork server starts them all
        try:
            process = await fork_server.fork()
        except OSError as error:
            log.error("no MLflow process could be started: %s", error)
            return None
        self._processes.add(process)
        return process

    def _is_slow(self, process: MlflowProcess, gone: Gone | None) -> None:
        """Others are served by another process meanwhile; this one gets what they leave of the processors."""
        if gone is not None:
            process.abandonment = self._spawn(self._kill_when(gone, process), "mlflow-abandonment")
        if sum(one.spare for one in self._processes) >= self._spares or process.ended.is_set():
            return
        process.spare = True
        self._resized(+1)
        if not process.low:  # beside which there is another one already
            process.lower()
            self._spawn(self._add(), "mlflow-start")

    async def _kill_when(self, gone: Gone, process: MlflowProcess) -> None:
        await gone()
        self._kill(process, Killed.ABANDONED)

    async def _watch(self) -> None:
        """Ends what takes too long or too much. Sleeps while there is nothing to watch."""
        while True:
            if not any(process.began for process in self._processes):
                self._busy.clear()
                await self._busy.wait()
            await asyncio.sleep(_WATCH_SECONDS)
            busy = {process: process.growth for process in self._processes if process.began and not process.killed}
            for process, growth in busy.items():
                if reason := self._passed(process, growth):
                    self._kill(process, reason)
            if sum(busy.values()) > self._size * self.limits.memory_bytes:
                self._kill(max(busy, key=lambda process: busy[process]), Killed.PRESSURE)

    def _passed(self, process: MlflowProcess, growth: int) -> Killed | None:
        """Which limit the request of a process has passed."""
        if growth > self.limits.memory_bytes:
            return Killed.MEMORY
        if process.seconds > self.limits.seconds:
            return Killed.PROCESSOR if process.computes else Killed.DEADLINE
        return None

    def _kill(self, process: MlflowProcess, reason: Killed) -> None:
        if process.began is None or process.killed is not None or self._fork_server is None:
            return
        process.killed = reason
        self._on_killed(reason.value)
        log.warning("MLflow process %d is killed after %.1f s: %s", process.pid, process.seconds, reason.value)
        self._fork_server.kill(process.pid)

    async def _start_fork_server(self) -> None:
        fork_server = ForkServerClient()
        try:
            self.routes = await fork_server.start(self._settings)
        except BaseException:
            await fork_server.close()
            raise
        self._fork_server = fork_server
        await self._add()
        for _ in range(self._size - 1):
            self._spawn(self._add(), "mlflow-start")

    async def _keep_fork_server(self) -> None:
        backoff = _MIN_BACKOFF
        while True:
            fork_server = self._fork_server
            assert fork_server is not None
            began = time.monotonic()
            await fork_server.lost.wait()
            await fork_server.close()
            log.error("MLflow's fork server ended (%s), and is started again", fork_server.status)
            self._lose_all()
            backoff = _MIN_BACKOFF if time.monotonic() - began > 2 * _MAX_BACKOFF else backoff
            while True:
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, _MAX_BACKOFF)
                try:
                    await self._start_fork_server()
                    break
                except (errors.HokusaiError, OSError) as error:
                    log.error("MLflow could not be started, and will be tried again: %s", error)

    def _lose_all(self) -> None:
        """Processes that are idle end with their fork server; those with a request are noticed where it waits."""
        for process in list(self._processes):
            self._processes.discard(process)
            process.writer.close()
            process.ended.set()
            if process.spare:
                self._resized(-1)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.critical("a task of MLflow's processes failed: %s", task.get_name(), exc_info=error)
