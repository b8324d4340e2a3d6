"""One serving process: it starts every part, answers requests, drains, and closes every part."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import prometheus_client
import uvicorn

from hokusai import errors
from hokusai.app import Application
from hokusai.server.draining import DrainingServer
from hokusai.server.loop_lag import LoopLag
from hokusai.server.process_end import ProcessEnd
from hokusai.server.uvicorn_config import config
from hokusai.server.waiting import started
from hokusai.settings import Settings

log = logging.getLogger("hokusai")

#: Seconds after the drain: for closing every part, with what the audit trail and commits still have to write; and for
#: the process to exit, which waits for threads.
CLOSE_SECONDS, EXIT_SECONDS = 2.0, 2.0


def serve(settings: Settings, listener: socket.socket, url: str, metrics: Path | None = None) -> None:
    """Serve in this process, on uvloop where it is installed. ``url`` is shown where no public URL is set.

    ``metrics`` is the directory in which several workers count together. The process ends within ``EXIT_SECONDS``
    after this returns: the caller does nothing more.
    """
    with asyncio.Runner(loop_factory=uvicorn.Config("", loop="auto").get_loop_factory()) as runner:
        runner.run(_serve(settings, listener, url, metrics))


async def _serve(settings: Settings, listener: socket.socket, url: str, metrics: Path | None) -> None:
    end = ProcessEnd()
    application = Application(settings, base=url, metrics=metrics)
    if not await started(application.start, settings, listener, url):
        return
    lag = LoopLag(application.metrics.own)
    try:
        server = DrainingServer(
            config(application, settings, application.metrics.own), application, settings.drain_seconds, end
        )
        with _metrics(settings, application), _running(lag):
            await server.serve(sockets=[listener])
    finally:
        end.within(CLOSE_SECONDS + EXIT_SECONDS)
        closed = await _closed(application)
        end.within(EXIT_SECONDS)
    if closed:
        end.all_is_kept()


async def _closed(application: Application) -> bool:
    """Close every part. Returns whether that was done within ``CLOSE_SECONDS``."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await application.close()
    except TimeoutError:
        log.error("closing: not everything was closed within %g seconds", CLOSE_SECONDS)
        return False
    return True


@contextlib.contextmanager
def _running(lag: LoopLag) -> Iterator[None]:
    task = asyncio.get_running_loop().create_task(lag.run(), name="loop-lag")
    try:
        yield
    finally:
        task.cancel()


@contextlib.contextmanager
def _metrics(settings: Settings, application: Application) -> Iterator[None]:
    """Serve the metrics on a port of their own, where one is set. Raises ``errors.PortInUse``."""
    port = settings.metrics_port
    if port is None:
        yield
        return
    try:
        server, thread = prometheus_client.start_http_server(port, settings.host, application.metrics.registry)
    except OSError:
        raise errors.PortInUse(host=settings.host, port=port, other=port + 1) from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
