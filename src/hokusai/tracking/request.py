"""One request to MLflow, as the gateway read it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.types import Message, Receive, Scope

from hokusai import errors
from hokusai.identity import FIELDS, Principal, principal_of

_V2 = "/api/2.0/mlflow"
#: Above this many members JSON is written on a thread, so that one large body does not hold up the others.
_THREAD_MEMBERS = 200


@dataclass(slots=True)
class TrackingRequest:
    """``route`` is what follows ``/api/2.0/mlflow``; rules change ``fields`` in place, or refuse."""

    method: str
    route: str
    fields: dict[str, Any]
    principal: Principal
    workspace: str

    @classmethod
    def of(cls, scope: Scope) -> TrackingRequest:
        """Raises ``errors.WorkspaceNone`` for a key of no workspace."""
        principal = principal_of(scope)
        if principal.workspace is None:
            raise errors.WorkspaceNone()
        route = scope["path"].removeprefix(_V2)
        return cls(scope["method"], route, dict(scope[FIELDS]), principal, principal.workspace)

    async def written(self, scope: Scope, receive: Receive) -> tuple[Scope, Receive]:
        """The request for MLflow: the fields in the query of a GET, in the body otherwise."""
        if self.method == "GET":
            return {**scope, "query_string": urlencode(self.fields, doseq=True).encode()}, _once(b"", receive)
        body = await self._json()
        headers = [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/json")]
        return {**scope, "headers": [*scope["headers"], *headers]}, _once(body, receive)

    async def _json(self) -> bytes:
        large = any(isinstance(value, list) and len(value) > _THREAD_MEMBERS for value in self.fields.values())
        try:
            return await asyncio.to_thread(_dumped, self.fields) if large else _dumped(self.fields)
        except ValueError:
            raise errors.BodyUnreadable(
                reason="it holds a lone surrogate, or a number too large for a double"
            ) from None


def _dumped(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _once(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def once() -> Message:
        return messages.pop() if messages else await receive()

    return once
