"""The layers of a deployment that a check can prove or a fault can break."""

from __future__ import annotations

from typing import Literal

Layer = Literal[
    "client",
    "dns",
    "tls",
    "load-balancer",
    "proxy",
    "auth",
    "gateway",
    "tracking",
    "artifacts",
    "database",
    "admission",
    "release",
]
