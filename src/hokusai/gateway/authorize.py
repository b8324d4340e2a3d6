"""Refuses every request that the route table does not allow to this key."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from hokusai import errors
from hokusai.gateway.exchange import Exchange, exchange_of, raw_path
from hokusai.gateway.redaction import shown
from hokusai.mlflow_api import TRACKING_PREFIX

#: Apps that hold the resources of workspaces: only a workspace's key reaches them.
TENANT = frozenset({"tracking", "artifacts"})


class Authorize:
    """Lets a request through when its route is listed and its principal carries the permission."""

    def __init__(self, app: ASGIApp, *, base: str = TRACKING_PREFIX) -> None:
        self.app = app
        self.base = base

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_of(scope)
        if exchange.match is None:
            path = shown(raw_path(scope), limit=200)
            raise errors.RouteUnknown(method=scope["method"][:16], path=path, base=self.base)
        if refusal := decide(exchange):
            raise refusal
        await self.app(scope, receive, send)


def decide(exchange: Exchange) -> errors.Forbidden | None:
    """The refusal, or None where the request is allowed."""
    if exchange.match is None:
        return errors.PermissionLacking(permission="any")
    route, principal = exchange.match.route, exchange.principal
    if route.public:
        return None
    if principal is None:
        return errors.PermissionLacking(permission=route.permission or "any")
    if route.permission is not None and route.permission not in principal.permissions:
        return errors.PermissionLacking(permission=route.permission)
    if route.to in TENANT and principal.workspace is None:
        return errors.WorkspaceNone()
    return None
