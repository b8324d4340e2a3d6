"""Uvicorn's server, except that it drains before it ends."""

from __future__ import annotations

import asyncio
import gc
import logging
import multiprocessing
import socket
from types import FrameType

import uvicorn

from hokusai import __version__
from hokusai.app import Application

log = logging.getLogger("hokusai")


class DrainingServer(uvicorn.Server):
    """Uvicorn, except that the first SIGTERM or SIGINT lets what is under way finish.

    Until that is done, or ``drain_seconds`` are over, the port stays open and new requests get 503,
    so that a load balancer learns of it. A second signal ends at once.
    """

    def __init__(self, config: uvicorn.Config, application: Application, drain_seconds: float) -> None:
        super().__init__(config)
        self.application = application
        self.drain_seconds = drain_seconds
        self._loop = asyncio.get_running_loop()
        self._draining: asyncio.Task[None] | None = None
        if parent := multiprocessing.parent_process():  # a worker does not outlive its supervisor
            self._loop.add_reader(parent.sentinel, self._begin)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            freeze_objects()
            log.info("hokusai %s is ready: %s", __version__, self.application.base)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._draining is None:
            self._loop.call_soon_threadsafe(self._begin)
        else:
            self.force_exit = self.should_exit = True

    def _begin(self) -> None:
        if parent := multiprocessing.parent_process():
            self._loop.remove_reader(parent.sentinel)
        if self._draining is None:
            self._draining = self._loop.create_task(self._drain(), name="drain")

    async def _drain(self) -> None:
        drain = self.application.drain
        if drain is not None:
            drain.begin()
            log.info("draining: what is under way has %g seconds", self.drain_seconds)
            if not await drain.finished(self.drain_seconds):
                log.warning("draining: requests were still under way after %g seconds", self.drain_seconds)
        self.should_exit = True


def freeze_objects() -> None:
    """What is in memory now stays for good: the collector need not look through it again and again.

    MLflow brings hundreds of thousands of objects, and a look through them stops every request for a tenth of a second.
    """
    gc.collect()
    gc.freeze()
