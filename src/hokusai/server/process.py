"""One serving process: every part started, requests answered, drained, every part closed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import prometheus_client
import uvicorn

from hokusai import errors
from hokusai.app import Application
from hokusai.http import Protocol
from hokusai.server.draining import DrainingServer
from hokusai.server.listener import BACKLOG
from hokusai.settings import Settings

KEEP_ALIVE = 75  # longer than load balancers keep idle connections (60 s is common), so that they end them


async def _serve(settings: Settings, listener: socket.socket, url: str) -> None:
    """One process's life: start every part, answer requests, drain, close every part."""
    application = Application(settings, base=url)
    await application.start()
    try:
        server = DrainingServer(_config(application), application, settings.drain_seconds)
        with _metrics(settings, application):
            await server.serve(sockets=[listener])
    finally:
        await application.close()


@contextlib.contextmanager
def _metrics(settings: Settings, application: Application) -> Iterator[None]:
    """The counters on a port of their own, where one is set. Raises ``errors.PortInUse``."""
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


def serve(settings: Settings, listener: socket.socket, url: str) -> None:
    """Serve in this process, on the fastest event loop there is."""
    with asyncio.Runner(loop_factory=uvicorn.Config("", loop="auto").get_loop_factory()) as runner:
        runner.run(_serve(settings, listener, url))
