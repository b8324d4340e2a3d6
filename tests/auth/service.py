"""The auth service on a real socket, behind the least of a gateway: it finds out who calls."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import uvicorn
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hokusai import errors
from hokusai.audit import AuditSearch
from hokusai.auth import KeyStore, LocalAuthenticator
from hokusai.auth.api.app import AuthService, auth_service
from hokusai.database import Database
from hokusai.identity import ADDRESS, PRINCIPAL, REQUEST_ID, Principal

PEPPER = b"the pepper of the tests"
REQUEST = "0123456789abcdef"


class Identified:
    """The auth service, with the scope as the gateway leaves it: principal, request id and address."""

    def __init__(self, store: KeyStore, authenticator: LocalAuthenticator, principal: Principal | None = None) -> None:
        self.app = service()
        self.store = store
        self.authenticator = authenticator
        self.principal = principal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _asked.set(self)
        sent = Headers(scope=scope)
        bearer = sent.get("authorization", "").removeprefix("Bearer ")
        own = sent.get("x-api-key", "" if scope["path"].endswith("/validate") else bearer)
        scope = {**scope, REQUEST_ID: REQUEST, ADDRESS: "127.0.0.1"}
        if not scope["path"].endswith("/openapi.json"):
            judged = self.principal or await self._judged(own)
            if isinstance(judged, errors.HokusaiError):
                headers = {name.decode(): value.decode() for name, value in judged.headers()}
                return await Response(judged.body(REQUEST), judged.status, headers)(scope, receive, send)
            scope[PRINCIPAL] = judged
        return await self.app(scope, receive, send)

    async def _judged(self, key: str) -> Principal | errors.HokusaiError:
        try:
            return await self.authenticator.authenticate(key, "127.0.0.1") if key else errors.KeyMissing()
        except errors.Unavailable as outage:
            return outage


#: Whose request it is that the app answers.
_asked: ContextVar[Identified] = ContextVar("asked")


class _OfTheRequest:
    """Stands for an object that each test has of its own."""

    def __init__(self, find: Callable[[Identified], Any], **parts: Any) -> None:
        self._find = find
        vars(self).update(parts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._find(_asked.get()), name)


@functools.cache
def service() -> AuthService:
    """The app, built once for all tests: FastAPI takes longer to build it than most of them take to use it."""
    workspaces: Any = _OfTheRequest(lambda asked: asked.store.workspaces)
    store: Any = _OfTheRequest(lambda asked: asked.store, workspaces=workspaces)
    authenticator: Any = _OfTheRequest(lambda asked: asked.authenticator)
    audit: Any = _OfTheRequest(lambda asked: AuditSearch(asked.store._database))
    return auth_service(store=store, authenticator=authenticator, audit=audit)


class AuthServer:
    """Serves the auth service of a database from a thread with an event loop of its own."""

    def __init__(self, database_url: str, port: int = 0) -> None:
        self._database_url = database_url
        self._listener = socket.create_server(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._server: uvicorn.Server | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(20)

    def close(self) -> None:
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(20)
        self._listener.close()
        assert not self._thread.is_alive()

    async def _serve(self) -> None:
        database = Database(self._database_url)
        store = KeyStore(database, pepper=PEPPER)
        authenticator = LocalAuthenticator(store)
        app = Identified(store, authenticator)
        config = uvicorn.Config(app, log_config=None, lifespan="off", ws="none", timeout_graceful_shutdown=5)
        self._server = uvicorn.Server(config)
        self._ready.set()
        try:
            await self._server.serve([self._listener])
        finally:
            await authenticator.close()
            await database.close()


@contextlib.contextmanager
def serving(database_url: str, port: int = 0) -> Iterator[AuthServer]:
    server = AuthServer(database_url, port)
    server.start()
    try:
        yield server
    finally:
        server.close()
