"""The innermost layer: parses a request once, serialises it again, and sends it to the app that its route names.

The app sees a scope made here, of what was checked: the canonical path, the listed parameters, the listed headers, and
JSON as it was parsed. Nothing else of the request reaches it.
The tracking app gets its parameters as values (``FIELDS``), and beside them the resources that they refer to
(``REFERENCES``): it checks both before MLflow sees them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote, urlencode

from starlette.types import ASGIApp, Receive, Scope, Send

from hokusai import errors, json_body
from hokusai.asgi import EMPTY_QUERY
from hokusai.gateway import parsing
from hokusai.gateway.exchange import exchange_of, header
from hokusai.gateway.field import references
from hokusai.gateway.route import Body, Match
from hokusai.identity import FIELDS, landing_of, principal_of
from hokusai.mlflow_api import WORKSPACE_HEADER
from hokusai.references import REFERENCES, Reference

_KEPT: Mapping[str, frozenset[bytes]] = {
    "tracking": frozenset({b"accept"}),
    "artifacts": frozenset(
        {
            *(b"content-length", b"content-type", b"content-encoding", b"content-range", b"content-digest"),
            *(b"repr-digest", b"range", b"if-range", b"if-match", b"if-none-match", b"hokusai-upload"),
        }
    ),
    "auth": frozenset({b"accept"}),
    "audit": frozenset({b"accept"}),
    "home": frozenset({b"accept"}),
}

#: The largest JSON body about keys and workspaces. The auth service reads it on the event loop.
_MAX_AUTH_BYTES = 64 * 1024

#: Seconds. Where the body of a request arrives later than this, its key is judged again.
_PROMPT = 0.1


class Forward:
    """Re-serialises a request and sends it to the app its route names."""

    def __init__(self, apps: Mapping[str, ASGIApp], *, max_json_bytes: int, idle_seconds: float) -> None:
        self.apps = apps
        self.max_json_bytes = max_json_bytes
        self.idle_seconds = idle_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_of(scope)
        match = exchange.match
        if match is None:
            raise errors.Internal()
        route = match.route
        made = self._scope(scope, match)
        values = exchange.values = await self._values(scope, receive, match)
        if route.to == "tracking":
            made[FIELDS] = values
            made[REFERENCES] = references_of(match, values)
        elif route.body is Body.JSON:
            body = await json_body.encode(values)
            made["headers"] += [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/json")]
            receive = json_body.replay(body, receive)
        else:
            made["query_string"] = urlencode(values, doseq=True).encode()
        if exchange.begin is not None:
            await exchange.begin()
        exchange.forwarded = True
        await self.apps[route.to](made, receive, send)

    def _scope(self, scope: Scope, match: Match) -> Scope:
        route = match.route
        kept = _KEPT[route.to]
        found = [(name, value) for name, value in scope["headers"] if name in kept]
        found.append((b"host", b"localhost"))
        if route.to == "tracking":
            workspace = principal_of(scope).workspace
            found.append((WORKSPACE_HEADER.encode(), (workspace or "").encode()))
        if route.to == "auth" and (candidate := header(scope, b"authorization")):
            found.append((b"authorization", candidate))
        raw = canonical_path(match)
        return {
            **{name: value for name, value in scope.items() if name not in {"headers", "state"}},
            "path": unquote(raw),
            "raw_path": raw.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": found,
        }

    async def _values(self, scope: Scope, receive: Receive, match: Match) -> Mapping[str, Any]:
        """The request's parameters, from its query or its JSON body; none where the body is a stream."""
        route = match.route
        if route.names_file and (scope["query_string"] or EMPTY_QUERY in scope):
            raise errors.QueryNotTaken(method=route.method, path=route.path)
        values = parsing.query(scope["query_string"], route.fields if route.body is Body.NONE else ())
        if route.body is Body.STREAM:
            return values
        body = await self._body(scope, receive, match)
        if body and not route.public and exchange_of(scope).seconds > _PROMPT:
            await landing_of(scope).confirm()
        return await parsing.json_object(body, route.fields) if route.body is Body.JSON else values

    async def _body(self, scope: Scope, receive: Receive, match: Match) -> bytes:
        limit = self.max_json_bytes if match.route.body is Body.JSON else 0
        if match.route.to == "auth":
            limit = min(limit, _MAX_AUTH_BYTES)
        try:
            return await parsing.body(receive, limit=limit, declared=declared(scope), idle_seconds=self.idle_seconds)
        except errors.BodyTooLarge:
            if limit:
                raise
            raise errors.BodyUnexpected(method=match.route.method, path=match.route.path) from None


def declared(scope: Scope) -> int | None:
    """``Content-Length``, which the HTTP parser has checked to be a number."""
    value = header(scope, b"content-length")
    return int(value) if value else None


def references_of(match: Match, values: Mapping[str, Any]) -> Sequence[Reference]:
    """The resources that a request refers to, beside those it acts on."""
    route = match.route
    found = tuple(references(route.refers, values)) if route.refers else ()
    if route.path_refers:
        found += tuple(
            references(route.path_refers, {name: parsing.segment(raw) for name, raw in match.values.items()})
        )
    return found


def canonical_path(match: Match) -> str:
    """The path to hand on: literal parts from the table, placeholders in their one spelling.

    Raises ``errors.PathMalformed``. What follows ``…/artifacts/`` stays as it came: the artifacts app parses
    it, by stricter rules of its own.
    """
    path = match.route.path
    for name, raw in match.values.items():
        if f"{{{name}:path}}" in path:
            return match.path
        path = path.replace(f"{{{name}}}", quote(parsing.segment(raw), safe=""))
    return path
