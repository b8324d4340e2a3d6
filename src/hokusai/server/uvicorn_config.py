"""How uvicorn serves an app of ours: with our protocol, and a limit on connections."""

from __future__ import annotations

from functools import partial
from typing import Any

import uvicorn
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from hokusai.gateway import network, within
from hokusai.http import Connections, Protocol
from hokusai.server.descriptors import connections_within, raise_limit
from hokusai.server.listener import BACKLOG
from hokusai.settings import Settings

#: Seconds. Longer than load balancers keep idle connections (60 s is common), so that the balancer closes them first.
KEEP_ALIVE = 75


def config(app: ASGIApp, settings: Settings, registry: CollectorRegistry) -> uvicorn.Config:
    """``registry`` counts the connections."""
    http: Any = partial(Protocol, connections=_connections(settings, registry))
    return uvicorn.Config(
        app,
        lifespan="off",
        http=http,
        ws="none",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=1,
        backlog=BACKLOG,
    )


def _connections(settings: Settings, registry: CollectorRegistry) -> Connections:
    return Connections(
        most=connections_within(raise_limit(), settings.max_connections),
        most_per_address=settings.address_connections,
        is_trusted=within(settings.trusted_proxies),
        network=network,
        registry=registry,
    )
