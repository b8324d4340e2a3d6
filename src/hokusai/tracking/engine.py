"""The contract of an MLflow behind this server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from starlette.types import Receive, Scope, Send

#: The MLflow minor version whose routes and workspaces were reviewed.
MLFLOW_MINOR = "3.17"

#: The largest answer that is passed on.
MAX_ANSWER_BYTES = 32 * 2**20


class Engine(Protocol):
    """An ASGI app that is MLflow's REST API, paths from ``/api/…`` on, workspaces enabled.

    The request's workspace is in the header ``X-MLFLOW-WORKSPACE``; bodies are bounded by the caller. Raises
    ``errors.TrackingDown``, ``TrackingTimeout`` or ``Busy`` where MLflow gives no answer, and
    ``AnswerTooLarge`` where it gives more than ``MAX_ANSWER_BYTES``.
    """

    name: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    async def start(self) -> None:
        """Make it ready. Raises an ``errors.StartError`` naming what is wrong."""

    async def close(self) -> None: ...

    async def check(self) -> None:
        """Raises an ``errors.Unavailable`` unless MLflow reads from its database."""

    def routes(self) -> Iterable[tuple[str, str]] | None:
        """Its own (method, path) pairs, or None where it cannot tell."""
