"""The auth service: ``/api/v1`` as an ASGI app."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Sequence
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from hokusai import errors
from hokusai.audit import AuditSearch
from hokusai.auth.api import responses
from hokusai.auth.api.audit import AuditApi
from hokusai.auth.api.keys import KeysApi
from hokusai.auth.api.usage import UsageApi
from hokusai.auth.api.validate import ValidateApi
from hokusai.auth.api.workspaces import WorkspacesApi
from hokusai.auth.local import LocalAuthenticator
from hokusai.auth.store import KeyStore
from hokusai.quota import UseStore

_PREFIX = "/api/v1"
_PIECE_BYTES = 16 * 1024
_ABOUT = """Keys, workspaces, usage and the audit trail of a Hokusai deployment.

Every request needs an API key. Every error has the shape `Error`. A key of a workspace sees only that
workspace: what belongs to another one is answered as if it did not exist."""

_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": responses.Error, "description": "The request cannot be understood."},
    401: {"model": responses.Error, "description": "The key is missing, malformed, unknown, expired or revoked."},
    403: {"model": responses.Error, "description": "The key is valid, but may not do this."},
    404: {"model": responses.Error, "description": "It does not exist, or not in the key's workspace."},
    409: {"model": responses.Error, "description": "It exists already, or its state does not allow this."},
    429: {"model": responses.Error, "description": "A rate limit is exceeded; see Retry-After."},
    503: {"model": responses.Error, "description": "A dependency is down or slow; see Retry-After."},
    "default": {"model": responses.Error, "description": "Any other error."},
}


class AuthService(FastAPI):
    """Made by ``auth_service``. Its paths are absolute: they begin with ``/api/v1``."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._document: bytes | None = None
        self._documenting = threading.Lock()

    async def document(self, request: Request) -> Response:
        """``/api/v1/openapi.json``. It is put together once, on a thread: that takes a tenth of a second."""
        document = self._document if self._document is not None else await asyncio.to_thread(self._put_together)
        headers = {"content-length": str(len(document))}
        return StreamingResponse(_pieces(document), headers=headers, media_type="application/json")

    def _put_together(self) -> bytes:
        with self._documenting:
            if self._document is None:
                self._document = json.dumps(self.openapi()).encode()
        return self._document

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = _documented(
                get_openapi(title=self.title, version=self.version, description=self.description, routes=self.routes)
            )
        return self.openapi_schema


async def _pieces(document: bytes) -> AsyncIterator[bytes]:
    """Anybody may ask for the document, and not read it: each piece waits until the one before is nearly sent."""
    for start in range(0, len(document), _PIECE_BYTES):
        yield document[start : start + _PIECE_BYTES]


def auth_service(
    *,
    store: KeyStore,
    authenticator: LocalAuthenticator,
    default_rate: int = 100_000,
    use: UseStore | None = None,
    audit: AuditSearch | None = None,
) -> AuthService:
    """The auth service over ``store``, for use behind the gateway, which identifies the caller.

    The caller is ``identity.principal_of(scope)``. ``default_rate`` is the rate, in requests an hour, that the gateway
    allows keys without a rate of their own. ``use`` tells what workspaces have stored, where this server stores it, and
    ``audit`` finds rows of its audit trail.
    """
    return _service(
        ValidateApi(authenticator=authenticator).router(),
        KeysApi(store=store, default_rate=default_rate).router(),
        WorkspacesApi(store=store.workspaces, use=use).router(),
        UsageApi(store=store).router(),
        *([AuditApi(search=audit).router()] if audit else []),
    )


def audit_service(search: AuditSearch) -> AuthService:
    """The route of the audit trail alone: also for a server whose keys are at a separate auth service."""
    return _service(AuditApi(search=search).router())


def _service(*routers: APIRouter) -> AuthService:
    app = AuthService(
        title="Hokusai auth service",
        version=version("hokusai"),
        description=_ABOUT,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    app.add_route(f"{_PREFIX}/openapi.json", app.document, include_in_schema=False)
    _include(app, routers)
    app.add_exception_handler(errors.HokusaiError, responses.on_refusal)
    app.add_exception_handler(RequestValidationError, responses.on_invalid)
    app.add_exception_handler(HTTPException, responses.on_http)
    app.add_exception_handler(Exception, responses.on_refusal)
    return app


def _include(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    for router in routers:
        app.include_router(router, prefix=_PREFIX, responses=_ERRORS)


def _operation_id(route: APIRoute) -> str:
    return f"{route.tags[0]}_{route.name}"


def _documented(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, with what FastAPI cannot know: how a caller authenticates."""
    schema["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "An API key: `hk_live_…` or `hk_test_…`."},
        "basic": {"type": "http", "scheme": "basic", "description": "The key as the password, any user name."},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The key alone."},
    }
    schema["security"] = [{"bearer": []}, {"basic": []}, {"header": []}]
    validate = schema["paths"][f"{_PREFIX}/keys/validate"]["post"]
    # Here the other headers are for the key to be validated.
    validate["security"] = [{"header": []}]
    return schema
