"""A fault of this server (HK90)."""

from __future__ import annotations

from hokusai.errors.base import Fault


class Internal(
    Fault,
    code="HK9001",
    message="gateway: this server failed on the request.",
    remedy="Give the request id to the operator: the cause is in the server's log.",
): ...
