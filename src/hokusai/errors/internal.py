"""A fault of this server (HK90)."""

from __future__ import annotations

from hokusai.errors.base import Fault


class Internal(
    Fault,
    code="HK9001",
    message="gateway: this server failed on the request.",
    remedy="Report the request id to the operator, whose log has the cause.",
): ...
