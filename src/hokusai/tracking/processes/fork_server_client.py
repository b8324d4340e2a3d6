"""The gateway's side of the fork server: its process, and the control socket to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import sys
from typing import Any

from hokusai import errors
from hokusai.tracking.processes.channel import MAX_CONTROL_BYTES
from hokusai.tracking.processes.process import MlflowProcess, own_memory

log = logging.getLogger("hokusai.tracking")

#: What runs the fork server.
PYTHON = sys.executable

_START_SECONDS = 120
_FORK_SECONDS = 30


class ForkServerClient:
    """Starts one fork server, and asks it for processes. ``lost`` is set when it has ended."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.status: int | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._control: socket.socket | None = None
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._forking = asyncio.Lock()
        self._reader: asyncio.Task[None] | None = None

    async def start(self, settings: dict[str, Any]) -> list[tuple[str, str]]:
        """MLflow's routes, once it is loaded. Raises an ``errors.StartError``, or ``errors.TrackingDown``."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._control = ours
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *(PYTHON, "-m", "hokusai.tracking.processes.fork_server"), stdin=theirs.fileno(), env=_environment()
            )
        self._reader = asyncio.create_task(self._read(), name="mlflow-fork-server")
        try:
            await asyncio.get_running_loop().sock_sendall(ours, json.dumps(settings).encode())
            answer = await self._answer(_START_SECONDS)
        except OSError as error:
            log.error("MLflow's fork server did not start: %s", error)
            raise errors.TrackingDown() from error
        if "error" in answer:
            raise _error(answer["error"])
        return [(method, path) for method, path in answer["routes"]]

    async def fork(self) -> MlflowProcess:
        """A new process. Raises ``OSError`` where the fork server is gone."""
        if self._control is None:
            raise ConnectionError("the fork server is closed")
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_unix_connection(sock=ours)
            try:
                async with self._forking:
                    socket.send_fds(self._control, [b'{"fork": true}'], [theirs.fileno()])
                    pid = (await self._answer(_FORK_SECONDS))["forked"]
            except BaseException:
                writer.close()
                raise
        return MlflowProcess(pid, reader, writer, own_memory(pid))

    def kill(self, pid: int) -> None:
        """Kill one of its processes. Nothing happens where that has ended: the number is not another's meanwhile."""
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
            while data := await loop.sock_recv(self._control, MAX_CONTROL_BYTES):
                message = json.loads(data)
                if "ended" not in message:
                    self._answers.put_nowait(message)
                elif message["status"]:
                    log.info("MLflow process %d has ended (%s)", message["ended"], message["status"])
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
            raise ConnectionError("it has ended, or does not answer")
        finally:
            answer.cancel()
            lost.cancel()


def _environment() -> dict[str, str]:
    """This process's, without our settings: no secret of ours is in an MLflow process."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HOKUSAI_")}


def _error(found: dict[str, Any]) -> errors.HokusaiError:
    rows = {row.code: row for row in errors.rows()}
    return rows[found["code"]].of(found["facts"])
