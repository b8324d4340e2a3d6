"""One serving process: it starts every part, answers requests, drains, and closes every part."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import prometheus_client
import uvicorn

from hokusai import errors
from hokusai.app import Application
from hokusai.gateway import network, within
from hokusai.http import Connections, Protocol
from hokusai.server.descriptors import connections_within, raise_limit
from hokusai.server.draining import DrainingServer
from hokusai.server.listener import BACKLOG
from hokusai.server.loop_lag import LoopLag
from hokusai.server.process_end import ProcessEnd
from hokusai.settings import Settings

log = logging.getLogger("hokusai")

#: Seconds after the drain: for closing every part, with what the audit trail and commits still have to write; and for
#: the process to exit, which waits for threads.
CLOSE_SECONDS, EXIT_SECONDS = 2.0, 2.0
#: Seconds. Longer than load balancers keep idle connections (60 s is common), so that the balancer closes them first.
KEEP_ALIVE = 75


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
    await application.start()
    lag = LoopLag(application.metrics.own)
    try:
        server = DrainingServer(_config(application), application, settings.drain_seconds, end)
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


def _config(application: Application) -> uvicorn.Config:
    http: Any = partial(Protocol, connections=_connections(application))
    return uvicorn.Config(
        application,
        lifespan="off",
        http=http,
        ws="none",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE,
        backlog=BACKLOG,
    )


def _connections(application: Application) -> Connections:
    settings = application.settings
    return Connections(
        most=connections_within(raise_limit(), settings.max_connections),
        most_per_address=settings.address_connections,
        is_trusted=within(settings.trusted_proxies),
        network=network,
        registry=application.metrics.own,
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
