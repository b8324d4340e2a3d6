"""Experiment 0, which stock clients log to when nobody called ``set_experiment``.

Outside MLflow's own ``default`` workspace that id does not exist, so a client's first line would
fail. Here it stands for the workspace's own experiment named ``Default``, made when first asked for.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.types import Message, Receive, Scope

#: The id in requests, and the experiment it stands for (MLflow's ``SqlAlchemyStore``).
ZERO = "0"
NAME = "Default"

#: Asks MLflow for the id of the experiment ``NAME`` in a workspace, making it if need be.
Find = Callable[[str], Awaitable[str]]


class DefaultExperiment:
    """Puts the real id where a request of a workspace says experiment 0."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._known: dict[str, str] = {}
        self._finding = asyncio.Lock()

    async def resolve(self, workspace: str, scope: Scope, receive: Receive) -> tuple[Scope, Receive]:
        """The request with experiment 0 replaced; the very same where it is not mentioned."""
        message = await receive()
        body: bytes = message.get("body", b"")
        if b"experiment_id=0" in scope["query_string"]:
            pairs = parse_qsl(scope["query_string"].decode("ascii"), keep_blank_values=True)
            real = await self._id(workspace)
            named = [(name, real if (name, value) == ("experiment_id", ZERO) else value) for name, value in pairs]
            scope = {**scope, "query_string": urlencode(named).encode()}
        if b'"experiment_id' in body and b'"0"' in body:
            body = _written(_replaced(json.loads(body), await self._id(workspace)))
            headers = [pair for pair in scope["headers"] if pair[0] != b"content-length"]
            scope = {**scope, "headers": [*headers, (b"content-length", str(len(body)).encode())]}
        return scope, _again({**message, "body": body}, receive)

    async def _id(self, workspace: str) -> str:
        async with self._finding:
            if workspace not in self._known:
                self._known[workspace] = await self._find(workspace)
            return self._known[workspace]


def _replaced(found: dict[str, Any], real: str) -> dict[str, Any]:
    if found.get("experiment_id") == ZERO:
        found["experiment_id"] = real
    if isinstance(ids := found.get("experiment_ids"), list):
        found["experiment_ids"] = [real if one == ZERO else one for one in ids]
    return found


def _written(found: dict[str, Any]) -> bytes:
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()


def _again(message: Message, receive: Receive) -> Receive:
    messages = [message]

    async def once() -> Message:
        return messages.pop() if messages else await receive()

    return once
