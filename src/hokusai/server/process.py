"""One serving process: it starts every part, answers requests, drains, and closes every part."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import prometheus_client
import uvicorn

from hokusai import errors
from hokusai.app import Application
from hokusai.http import Protocol
from hokusai.server.draining import DrainingServer
from hokusai.server.listener import BACKLOG
from hokusai.settings import Settings

#: Seconds. Longer than load balancers keep idle connections (60 s is common), so that the balancer closes them first.
KEEP_ALIVE = 75


def serve(settings: Settings, listener: socket.socket, url: str, metrics: Path | None = None) -> None:
    """Serve in this process, on uvloop where it is installed. ``url`` is shown where no public URL is set.

    ``metrics`` is the directory in which several workers count together.
    """
    with asyncio.Runner(loop_factory=uvicorn.Config("", loop="auto").get_loop_factory()) as runner:
        runner.run(_serve(settings, listener, url, metrics))


async def _serve(settings: Settings, listener: socket.socket, url: str, metrics: Path | None) -> None:
    application = Application(settings, base=url, metrics=metrics)
    await application.start()
    try:
        server = DrainingServer(_config(application), application, settings.drain_seconds)
        with _metrics(settings, application):
            await server.serve(sockets=[listener])
    finally:
        await application.close()


def _config(application: Application) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        lifespan="off",
        http=Protocol,
        ws="none",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=5,
        backlog=BACKLOG,
    )


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
