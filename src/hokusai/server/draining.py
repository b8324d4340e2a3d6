"""Uvicorn's server, except that it drains before it ends."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
from types import FrameType

import uvicorn

from hokusai import __version__
from hokusai.app import Application
from hokusai.server.process_end import ProcessEnd

log = logging.getLogger("hokusai")


#: Seconds for what is written already to reach its clients, and for requests whose connection was closed to end.
_FLUSH_SECONDS, _CANCEL_SECONDS = 0.5, 0.5
#: Seconds after ``drain_seconds`` in which the process has ended, whatever happens.
GRACE_SECONDS = 5.0


class DrainingServer(uvicorn.Server):
    """Uvicorn, except that the first SIGTERM or SIGINT lets the requests in progress finish.

    Until they have finished, or ``drain_seconds`` have passed, the port stays open and new requests get 503, so that a
    load balancer notices. Then every connection is closed, whatever is happening on it. The process ends no later than
    ``GRACE_SECONDS`` after ``drain_seconds``: ``end`` sees to that. A second signal ends the drain at once.
    """

    def __init__(self, config: uvicorn.Config, application: Application, drain_seconds: float, end: ProcessEnd) -> None:
        super().__init__(config)
        self.application = application
        self.drain_seconds = drain_seconds
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._draining: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            freeze_objects()
            log.info("hokusai %s is ready: %s", __version__, self.application.base)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._draining is None:
            self._end.within(self.drain_seconds + GRACE_SECONDS)
            self._loop.call_soon_threadsafe(self._begin)
        else:
            self.force_exit = self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """In place of uvicorn's, which waits for connections to close: here all requests have had their time."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        end = self._loop.time() + _FLUSH_SECONDS
        while self.server_state.connections and self._loop.time() < end:  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.02)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await self._end_tasks()

    async def _end_tasks(self) -> None:
        """The requests whose connections are closed. They notice, unless something does not answer them."""
        if tasks := set(self.server_state.tasks):
            await asyncio.wait(tasks, timeout=_CANCEL_SECONDS / 2)
        if tasks := set(self.server_state.tasks):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=_CANCEL_SECONDS / 2)

    def _begin(self) -> None:
        if self._draining is None:
            self._end.within(self.drain_seconds + GRACE_SECONDS)
            self._draining = self._loop.create_task(self._drain(), name="drain")

    async def _drain(self) -> None:
        drain = self.application.drain
        if drain is not None:
            drain.begin()
            log.info("draining: requests in progress have %g seconds to finish", self.drain_seconds)
            if not await drain.finished(self.drain_seconds):
                log.warning(
                    "draining: some requests did not finish within %g seconds and are cut off", self.drain_seconds
                )
        self.should_exit = True


def freeze_objects() -> None:
    """Exempt all objects that exist now from garbage collection: they live as long as the process.

    MLflow creates hundreds of thousands of them. A collection that looks through them stops every request for a tenth
    of a second.
    """
    gc.collect()
    gc.freeze()
