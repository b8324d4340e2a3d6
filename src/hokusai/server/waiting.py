"""A start that waits: what it needs is not there yet, and will be without any change to the settings.

Theory of operation: ``started`` calls what starts this process. Where that raises an outage, it is called again and
again, with longer and longer waits between. Meanwhile the port is open: ``/health`` answers that the process lives,
``/ready`` says what it waits for, and everything else is refused with the same error. So a load balancer, and
``hokusai doctor``, see why. What will never work is raised at once; docs/decisions/0013-outages.md says which is which.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import multiprocessing
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from types import FrameType

import uvicorn
from prometheus_client import CollectorRegistry
from starlette.types import Receive, Scope, Send

from hokusai import __version__, errors
from hokusai.console import Home, Readiness
from hokusai.server.process_end import ProcessEnd
from hokusai.server.uvicorn_config import config
from hokusai.settings import Settings

log = logging.getLogger("hokusai")

Start = Callable[[], Awaitable[None]]
Outage = errors.Unavailable | errors.Full

#: Seconds between two attempts: doubled after each one, up to the second number.
_MIN_BACKOFF, _MAX_BACKOFF = 1.0, 15.0
#: Seconds after which a wait that goes on is logged again.
_TELL_SECONDS = 600.0
#: Seconds that an attempt has to end, when a signal has ended the waiting.
_END_SECONDS = 2.0


async def started(start: Start, settings: Settings, listener: socket.socket, url: str) -> bool:
    """Call ``start`` until it returns. False where a signal ended the waiting: then the process ends at once.

    Raises what ``start`` raises, unless that is an outage.
    """
    try:
        await start()
    except errors.HokusaiError as error:
        if (outage := outage_of(error)) is None:
            raise
        _tell(error, url)
        return await _Waiting(start, error, WaitingApp(outage, url)).run(settings, listener)
    return True


def outage_of(error: errors.HokusaiError) -> Outage | None:
    """What a start waits for; None where waiting would not help."""
    match error:
        case errors.DatabaseCredentials() | errors.SchemaMissing() | errors.AuthServiceContract():
            return None
        case errors.Unavailable():
            return error
        case errors.DatabaseUnreachable(temporary=True):
            return errors.DatabaseDown() if error.setting == "HOKUSAI_DATABASE_URL" else errors.TrackingDown()
        case errors.TrackingUnreachable(temporary=True):
            return errors.TrackingDown()
        case errors.ArtifactStoreUnusable():
            return _of_store(error.__cause__ or error.__context__)
    return None


def _of_store(error: BaseException | None) -> Outage | None:
    if not isinstance(error, errors.Unavailable | errors.Full):
        return None
    across = isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EXDEV
    return None if across else error


def _tell(error: errors.HokusaiError, url: str) -> None:
    log.warning("%s %s %s Waiting until it is over; %s/ready says the same", error.code, error, error.advice, url)


class WaitingApp:
    """An ASGI app that says what the start waits for. ``/health`` and ``/ready`` are as of any server."""

    def __init__(self, outage: Outage, url: str) -> None:
        self.url = url
        self.show(outage)

    def show(self, outage: Outage) -> None:
        async def fail() -> None:
            raise outage

        self._outage = outage
        self._home = Home(
            readiness=Readiness({str(outage).partition(":")[0]: fail}),
            versions={"version": __version__, "mlflow": version("mlflow-skinny")},
            base=self.url,
            draining=lambda: False,
            metrics=lambda: ("text/plain", b""),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in {"GET", "HEAD"} and scope["path"] in {"/health", "/ready"}:
            await self._home(scope, receive, send)
        else:
            await self._refuse(scope, send)

    async def _refuse(self, scope: Scope, send: Send) -> None:
        request_id = secrets.token_hex(8)
        body = self._outage.body(request_id)
        headers = [
            *self._outage.headers(),
            (b"content-length", str(len(body)).encode()),
            (b"x-request-id", request_id.encode()),
            (b"connection", b"close"),  # the next request may be for the server itself
        ]
        await send({"type": "http.response.start", "status": self._outage.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


class _Waiting:
    """One wait: attempts on one side, the server on the other. Whichever ends first ends the other."""

    def __init__(self, start: Start, error: errors.HokusaiError, app: WaitingApp) -> None:
        self._start = start
        self._error = error
        self._app = app

    async def run(self, settings: Settings, listener: socket.socket) -> bool:
        server = _WaitingServer(config(self._app, settings, CollectorRegistry()))
        attempts = asyncio.create_task(self._attempts(), name="start")
        attempts.add_done_callback(lambda _: server.stop())
        await server.serve(sockets=[listener.dup()])
        if server.signalled:
            end = ProcessEnd()
            end.all_is_kept()
            end.within(_END_SECONDS)
            attempts.cancel()
            await asyncio.wait({attempts})
            return False
        attempts.result()
        return True

    async def _attempts(self) -> None:
        backoff, began = _MIN_BACKOFF, time.monotonic()
        told = began
        while True:
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, _MAX_BACKOFF)
            try:
                await self._start()
                log.info("the wait is over after %d seconds", time.monotonic() - began)
                return
            except errors.HokusaiError as error:
                if (outage := outage_of(error)) is None:
                    raise
                self._app.show(outage)
                if str(error) != str(self._error) or time.monotonic() - told > _TELL_SECONDS:
                    self._error, told = error, time.monotonic()
                    _tell(error, self._app.url)


class _WaitingServer(uvicorn.Server):
    """Uvicorn, except that a signal is only noted: whoever waits ends the process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.signalled = False

    def stop(self) -> None:
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.signalled = self.should_exit = True

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        parent, loop = multiprocessing.parent_process(), asyncio.get_running_loop()
        if parent:  # a worker does not outlive its supervisor
            loop.add_reader(parent.sentinel, self.handle_exit, 0, None)
        try:
            await super().serve(sockets)
        finally:
            if parent:
                loop.remove_reader(parent.sentinel)
