"""Runs a WSGI app under ASGI: one switch to a thread and back per request.

A general bridge pays for streaming in both directions. This one does not need it: the gateway has already read the
whole body, and MLflow answers with whole JSON documents.
"""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.types import Receive, Scope, Send

from hokusai import errors
from hokusai.tracking.engine import MAX_ANSWER_BYTES

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]


class Bridge:
    """Runs ``app`` on ``threads`` threads, with at most ``waiting`` requests queued behind them.

    Raises ``errors.Busy`` past that, ``errors.TrackingTimeout`` after ``timeout`` seconds, and
    ``errors.AnswerTooLarge``. A request that timed out keeps its thread, and its place in the queue,
    until the app lets go.
    """

    def __init__(self, app: WsgiApp, *, threads: int, timeout: float, waiting: int = 256) -> None:
        self._app = app
        self._timeout = timeout
        self._bound = threads + waiting
        self._pending = 0
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="mlflow")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        environ = _environ(scope, message.get("body", b""))
        status, headers, body = await self._run(environ)
        if len(body) > MAX_ANSWER_BYTES:
            raise errors.AnswerTooLarge(limit=MAX_ANSWER_BYTES)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, environ: dict[str, Any]) -> Answer:
        if self._pending >= self._bound:
            raise errors.Busy(layer="tracking")
        self._pending += 1
        submitted = self._threads.submit(_call, self._app, environ)
        call = asyncio.wrap_future(submitted)
        call.add_done_callback(self._done)
        try:
            return await asyncio.wait_for(asyncio.shield(call), self._timeout)
        except TimeoutError:
            raise errors.TrackingTimeout(seconds=self._timeout) from None
        except asyncio.CancelledError:
            submitted.cancel()  # where it is still queued, it never begins: its key may have been revoked
            raise

    def _done(self, call: asyncio.Future[Answer]) -> None:
        self._pending -= 1
        if not call.cancelled():
            call.exception()  # retrieved, so that asyncio does not log the exception of an abandoned call


def _call(app: WsgiApp, environ: dict[str, Any]) -> Answer:
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: object = None) -> None:
        started[:] = [int(status.split(" ", 1)[0]), headers]

    parts = app(environ, start_response)
    try:
        body = b"".join(parts)
    finally:
        close = getattr(parts, "close", None)
        if close:
            close()
    status, headers = started
    return status, [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers], body


def _environ(scope: Scope, body: bytes) -> dict[str, Any]:
    """A WSGI environment (PEP 3333) of the scope the gateway made."""
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode("utf-8").decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for raw_name, value in scope["headers"]:
        name = raw_name.decode("latin-1").upper().replace("-", "_")
        if name not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
            name = "HTTP_" + name
        environ[name] = value.decode("latin-1")
    return environ
