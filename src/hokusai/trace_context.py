"""The trace that a request belongs to: handed on with the requests that are sent to other servers on its behalf."""

from __future__ import annotations

from contextvars import ContextVar

#: As W3C Trace Context writes it; None where no trace is recorded.
TRACEPARENT: ContextVar[str | None] = ContextVar("traceparent", default=None)


def carried() -> dict[str, str]:
    """The headers with which another server learns the trace."""
    traceparent = TRACEPARENT.get()
    return {"traceparent": traceparent} if traceparent else {}
