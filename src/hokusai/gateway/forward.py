"""The innermost layer: parse once, write out again, hand on.

A destination sees a scope made here, of what was checked: the canonical path, the listed
parameters, the listed headers, and JSON as it was read. Nothing else of the request reaches it.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, unquote

from starlette.types import ASGIApp, Receive, Scope, Send

from hokusai import errors
from hokusai.gateway import reading
from hokusai.gateway.exchange import exchange_of, header
from hokusai.gateway.route import Body, Match
from hokusai.identity import principal_of

WORKSPACE_HEADER = b"x-mlflow-workspace"
_KEPT: Mapping[str, frozenset[bytes]] = {
    "tracking": frozenset({b"accept"}),
    "artifacts": frozenset(
        {
            *(b"content-length", b"content-type", b"content-encoding", b"content-range", b"content-digest"),
            *(b"repr-digest", b"range", b"if-range", b"if-match", b"if-none-match"),
        }
    ),
    "auth": frozenset({b"accept"}),
    "home": frozenset({b"accept"}),
}


class Forward:
    """Re-serialises a request and sends it to the app its route names."""

    def __init__(self, apps: Mapping[str, ASGIApp], *, max_json_bytes: int, idle_seconds: float) -> None:
        self.apps = apps
        self.max_json_bytes = max_json_bytes
        self.idle_seconds = idle_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match = exchange_of(scope).match
        if match is None:
            raise errors.Internal()
        made = self._scope(scope, match)
        if match.route.body is not Body.STREAM:
            body = await self._body(scope, receive, match)
            made["headers"].append((b"content-length", str(len(body)).encode()))
            if body:
                made["headers"].append((b"content-type", b"application/json"))
            receive = reading.replay(body, receive)
        await self.apps[match.route.to](made, receive, send)

    def _scope(self, scope: Scope, match: Match) -> Scope:
        route = match.route
        kept = _KEPT[route.to]
        found = [(name, value) for name, value in scope["headers"] if name in kept]
        found.append((b"host", b"localhost"))
        if route.to == "tracking":
            workspace = principal_of(scope).workspace
            found.append((WORKSPACE_HEADER, (workspace or "").encode()))
        if route.to == "auth" and (candidate := header(scope, b"authorization")):
            found.append((b"authorization", candidate))
        raw = canonical_path(match)
        query = reading.query(scope["query_string"], route.fields if route.body is Body.NONE else ())
        return {
            **{name: value for name, value in scope.items() if name not in {"headers", "state", "extensions"}},
            "path": unquote(raw),
            "raw_path": raw.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": found,
        }

    async def _body(self, scope: Scope, receive: Receive, match: Match) -> bytes:
        limit = self.max_json_bytes if match.route.body is Body.JSON else 0
        try:
            raw = await reading.body(receive, limit=limit, declared=declared(scope), idle_seconds=self.idle_seconds)
        except errors.BodyTooLarge:
            if limit:
                raise
            raise errors.BodyUnexpected(method=match.route.method, path=match.route.path) from None
        if match.route.body is Body.NONE:
            return b""
        return await reading.json_object(raw, match.route.fields)


def declared(scope: Scope) -> int | None:
    """``Content-Length``, which the HTTP parser has checked to be a number."""
    value = header(scope, b"content-length")
    return int(value) if value else None


def canonical_path(match: Match) -> str:
    """The path to hand on: literal parts from the table, placeholders in their one spelling.

    Raises ``errors.PathMalformed``. What follows ``…/artifacts/`` stays as it came: the artifact
    room reads it, by stricter rules of its own.
    """
    path = match.route.path
    for name, raw in match.values.items():
        if f"{{{name}:path}}" in path:
            return match.path
        path = path.replace(f"{{{name}}}", quote(reading.segment(raw), safe=""))
    return path
