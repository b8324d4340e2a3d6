"""The MLflow processes of this server process: started, watched, replaced, ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from hokusai import errors
from hokusai.tracking.engine import MAX_ANSWER_BYTES
from hokusai.tracking.processes import channel
from hokusai.tracking.processes.process import Killed, MlflowProcess, own_memory

log = logging.getLogger("hokusai.tracking")

#: Returns when nobody waits for a request's answer any more.
Gone = Callable[[], Awaitable[None]]

MLFLOW = "hokusai.tracking.processes.mlflow_app:load"

#: A request that takes longer lets another process be started beside its own.
SLOW_SECONDS = 0.5
#: How often busy processes are looked at.
_WATCH_SECONDS = 0.05
_START_SECONDS = 120
_TAKE_SECONDS = 5
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds before a nursery that ended is replaced
_MESSAGE_BYTES = 1 << 20
_NICE = 10  # of a process whose request is slow


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may take of a process: ``seconds`` in all, and ``memory_bytes`` beyond what it began with."""

    seconds: float
    memory_bytes: int
    answer_bytes: int = MAX_ANSWER_BYTES


class Pool:
    """Keeps ``size`` processes ready, and up to ``spares`` more beside those whose requests are slow.

    ``resized`` is told when there are more places for requests, or fewer. ``app`` names the function that loads
    what the processes run, and its routes.
    """

    def __init__(
        self,
        database_url: str,
        *,
        size: int,
        spares: int,
        limits: Limits,
        resized: Callable[[int], None],
        app: str = MLFLOW,
    ) -> None:
        self.limits = limits
        self.routes: list[tuple[str, str]] = []
        self.restarts = 0  # processes that ended before their time
        self._settings = {
            "app": app,
            "database_url": database_url,
            "memory_bytes": limits.memory_bytes,
            "max_answer_bytes": limits.answer_bytes,
        }
        self._size = size
        self._spares = spares
        self._resized = resized
        self._nursery: _Nursery | None = None
        self._idle: asyncio.Queue[MlflowProcess] = asyncio.Queue()
        self._processes: set[MlflowProcess] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._busy = asyncio.Event()
        self._closing = False

    async def start(self) -> None:
        """Returns when the first process is ready. Raises an ``errors.StartError``."""
        await self._start_nursery()
        self._spawn(self._watch(), "mlflow-watch")
        self._spawn(self._keep_nursery(), "mlflow-nursery")

    async def close(self) -> None:
        self._closing = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for process in list(self._processes):
            process.writer.close()
        if self._nursery is not None:
            await self._nursery.close()

    @property
    def ready(self) -> bool:
        return bool(self._processes)

    async def call(self, head: dict[str, object], body: bytes, *, gone: Gone | None = None) -> channel.Message:
        """One process's answer. A request with ``gone`` is given up when nobody waits for its answer any more.

        Raises ``ProcessEnded``, or ``errors.TrackingDown`` where there is no process within the time a request has.
        """
        process = await self._take()
        slow = asyncio.get_running_loop().call_later(SLOW_SECONDS, self._is_slow, process, gone)
        try:
            answer = await process.call(head, body)
        except BaseException:
            self._discard(process)
            raise
        finally:
            slow.cancel()
            if process.abandonment is not None:
                process.abandonment.cancel()
                process.abandonment = None
        if process.spare or self._closing or "failed" in answer[0]:
            self._discard(process)
        else:
            self._idle.put_nowait(process)
        return answer

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

    def _discard(self, process: MlflowProcess) -> None:
        """End a process, and start another one in its place unless one was started already."""
        process.writer.close()
        process.ended.set()
        if process not in self._processes:
            return
        self._processes.discard(process)
        if self._nursery is not None:
            self._nursery.kill(process.pid)
        if process.spare:
            self._resized(-1)
        elif not self._closing:
            self._spawn(self._add(), "mlflow-start")

    async def _add(self) -> None:
        nursery = self._nursery
        if nursery is None or nursery.lost.is_set():
            return  # the next nursery starts them all
        try:
            process = await nursery.fork()
        except (OSError, asyncio.CancelledError):
            return
        self._processes.add(process)
        self._idle.put_nowait(process)

    def _is_slow(self, process: MlflowProcess, gone: Gone | None) -> None:
        """Others are served by another process meanwhile; this one gets what they leave of the processors."""
        if gone is not None:
            process.abandonment = self._spawn(self._kill_when(gone, process), "mlflow-abandonment")
        if sum(one.spare for one in self._processes) >= self._spares or process.ended.is_set():
            return
        process.spare = True
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICE)
        self._resized(+1)
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
            for process in list(self._processes):
                if reason := self._passed(process):
                    self._kill(process, reason)

    def _passed(self, process: MlflowProcess) -> Killed | None:
        """Which limit the request of a process has passed."""
        if process.began is None or process.killed is not None:
            return None
        if process.growth() > self.limits.memory_bytes:
            return Killed.MEMORY
        if process.seconds > self.limits.seconds:
            return Killed.PROCESSOR if process.computed() else Killed.DEADLINE
        return None

    def _kill(self, process: MlflowProcess, reason: Killed) -> None:
        if process.began is None or process.killed is not None or self._nursery is None:
            return
        process.killed = reason
        self.restarts += 1
        log.warning("MLflow process %d is killed after %.1f s: %s", process.pid, process.seconds, reason.value)
        self._nursery.kill(process.pid)

    async def _start_nursery(self) -> None:
        nursery = _Nursery()
        try:
            self.routes = await nursery.start(self._settings)
        except BaseException:
            await nursery.close()
            raise
        self._nursery = nursery
        await self._add()
        for _ in range(self._size - 1):
            self._spawn(self._add(), "mlflow-start")

    async def _keep_nursery(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            nursery = self._nursery
            assert nursery is not None
            began = time.monotonic()
            await nursery.lost.wait()
            log.error("the process that MLflow's processes come from has ended (%s); starting it again", nursery.status)
            await nursery.close()
            self._lose_all()
            pause = _FIRST_PAUSE if time.monotonic() - began > 2 * _LONGEST_PAUSE else pause
            while True:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                try:
                    await self._start_nursery()
                    break
                except (errors.HokusaiError, OSError) as error:
                    log.error("MLflow could not be started, and will be tried again: %s", error)

    def _lose_all(self) -> None:
        """Processes that are idle end with their nursery; those with a request are noticed where it waits."""
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


class _Nursery:
    """The nursery's process and the control socket to it."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.status: int | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._control: socket.socket | None = None
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._forking = asyncio.Lock()
        self._reader: asyncio.Task[None] | None = None

    async def start(self, settings: dict[str, Any]) -> list[tuple[str, str]]:
        """MLflow's routes, once it is loaded. Raises an ``errors.StartError``."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._control = ours
        command = [sys.executable, "-m", "hokusai.tracking.processes.nursery", str(theirs.fileno())]
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *command, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, env=_environment()
            )
        self._reader = asyncio.create_task(self._read(), name="mlflow-nursery-messages")
        await asyncio.get_running_loop().sock_sendall(ours, json.dumps(settings).encode())
        answer = await self._answer(_START_SECONDS)
        if "error" in answer:
            raise _error(answer["error"])
        return [(method, path) for method, path in answer["routes"]]

    async def fork(self) -> MlflowProcess:
        """A new process. Raises ``OSError`` where the nursery is gone."""
        assert self._control is not None
        ours, theirs = socket.socketpair()
        try:
            async with self._forking:
                with theirs:
                    socket.send_fds(self._control, [b'{"fork": true}'], [theirs.fileno()])
                pid = (await self._answer(_START_SECONDS))["forked"]
        except BaseException:
            ours.close()
            raise
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        return MlflowProcess(pid, reader, writer, own_memory(pid))

    def kill(self, pid: int) -> None:
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.send(json.dumps({"kill": pid}).encode())

    async def close(self) -> None:
        """Ends it, and every process it forked."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait({self._reader})
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self.status = await self._process.wait()

    async def _read(self) -> None:
        assert self._control is not None
        loop = asyncio.get_running_loop()
        try:
            while data := await loop.sock_recv(self._control, _MESSAGE_BYTES):
                message = json.loads(data)
                if "ended" not in message:
                    self._answers.put_nowait(message)
                elif message["status"]:
                    log.info("MLflow process %d ended (%s)", message["ended"], message["status"])
        except OSError:
            pass
        finally:
            self.lost.set()

    async def _answer(self, seconds: float) -> dict[str, Any]:
        answer = asyncio.ensure_future(self._answers.get())
        lost = asyncio.ensure_future(self.lost.wait())
        try:
            await asyncio.wait({answer, lost}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            raise ConnectionError("the nursery of MLflow's processes has ended or does not answer")
        finally:
            answer.cancel()
            lost.cancel()


def _environment() -> dict[str, str]:
    """This process's, without our settings: no secret of ours is in an MLflow process."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HOKUSAI_")}


def _error(found: dict[str, Any]) -> errors.HokusaiError:
    rows = {row.code: row for row in errors.rows()}
    return rows[found["code"]](**found["facts"])
