"""Running it: the port, the processes, the signals, the first operator key."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import ipaddress
import logging
import multiprocessing
import multiprocessing.connection
import multiprocessing.process
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from types import FrameType

import prometheus_client
import uvicorn

from hokusai import __version__, data, errors
from hokusai.app import Application
from hokusai.auth import Environment, KeyStore, first_key
from hokusai.database import Database
from hokusai.protocol import Protocol
from hokusai.settings import Settings

log = logging.getLogger("hokusai")

_KEEP_ALIVE = 75  # longer than load balancers keep idle connections (60 s is common), so that they end them
_BACKLOG = 2048
EXIT_START = 2  # a worker's exit code when it could not start
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0  # seconds before a worker that ended is replaced


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Raises an ``errors.StartError`` when it cannot start."""
    _log(settings)
    if settings.metrics_port and settings.workers > 1:
        reason = "it serves one process's counters, and there are several workers"
        raise errors.SettingInvalid(setting="HOKUSAI_METRICS_PORT", reason=reason)
    with data.opened(settings.data), bound(settings.host, settings.port) as listener:
        asyncio.run(prepare(settings))
        url = settings.public_url or address(listener)
        if settings.workers > 1:
            Workers(settings, listener, url).run()
        else:
            _run(settings, listener, url)


async def prepare(settings: Settings) -> None:
    """What must be done once, before any worker: our schema, and the first operator key."""
    database = Database(settings.own_database_url)
    try:
        await database.migrate()
        if settings.auth_url is None and settings.role != "registry":
            store = KeyStore(database, pepper=settings.pepper)
            await store.prepare()
            if await store.is_empty():
                environment: Environment = "live" if "live" in settings.environments else "test"
                keep = partial(data.write_operator_key, settings.data)
                await first_key(store, service_id=settings.service_id, environment=environment, keep=keep)
                log.info("the operator key is in %s", settings.data / data.OPERATOR_KEY)
    finally:
        await database.close()


@contextlib.contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket. Raises ``errors.PortInUse`` or ``errors.SettingInvalid``."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(_BACKLOG)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise errors.PortInUse(host=host, port=port, other=port + 1) from None
            setting = "HOKUSAI_PORT" if error.errno == errno.EACCES else "HOKUSAI_HOST"
            raise errors.SettingInvalid(setting=setting, reason=error.strerror or str(error)) from None
        listener.set_inheritable(True)
        yield listener


def address(listener: socket.socket) -> str:
    """The URL of a listening socket. One that takes every address is named after the machine."""
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = socket.gethostname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Masking(logging.Formatter):
    """What went wrong may be told with a client's own words, and an API key in them."""

    def format(self, record: logging.LogRecord) -> str:
        return errors.masked(super().format(record))


def _log(settings: Settings) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Masking("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    for noisy in ("alembic", "httpx2", "httpcore2", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


class DrainingServer(uvicorn.Server):
    """Uvicorn, except that the first SIGTERM or SIGINT lets what is under way finish.

    Until that is done, or ``drain_seconds`` are over, the port stays open and new requests get 503,
    so that a load balancer learns of it. A second signal ends at once.
    """

    def __init__(self, config: uvicorn.Config, application: Application, drain_seconds: float) -> None:
        super().__init__(config)
        self.application = application
        self.drain_seconds = drain_seconds
        self._loop = asyncio.get_running_loop()
        self._draining: asyncio.Task[None] | None = None
        if parent := multiprocessing.parent_process():  # a worker does not outlive its supervisor
            self._loop.add_reader(parent.sentinel, self._begin)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            _settle()
            log.info("hokusai %s is ready: %s", __version__, self.application.base)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._draining is None:
            self._loop.call_soon_threadsafe(self._begin)
        else:
            self.force_exit = self.should_exit = True

    def _begin(self) -> None:
        if parent := multiprocessing.parent_process():
            self._loop.remove_reader(parent.sentinel)
        if self._draining is None:
            self._draining = self._loop.create_task(self._drain(), name="drain")

    async def _drain(self) -> None:
        drain = self.application.drain
        if drain is not None:
            drain.begin()
            log.info("draining: what is under way has %g seconds", self.drain_seconds)
            if not await drain.finished(self.drain_seconds):
                log.warning("draining: requests were still under way after %g seconds", self.drain_seconds)
        self.should_exit = True


async def _serve(settings: Settings, listener: socket.socket, url: str) -> None:
    """One process's life: start every part, answer requests, drain, close every part."""
    application = Application(settings, base=url)
    await application.start()
    try:
        server = DrainingServer(_config(application), application, settings.drain_seconds)
        with _metrics(settings, application):
            await server.serve(sockets=[listener])
    finally:
        await application.close()


def _settle() -> None:
    """What is in memory now stays for good: the collector need not look through it again and again.

    MLflow brings hundreds of thousands of objects, and a look through them stops every request for a tenth of a second.
    """
    gc.collect()
    gc.freeze()


@contextlib.contextmanager
def _metrics(settings: Settings, application: Application) -> Iterator[None]:
    """The counters on a port of their own, where one is set. Raises ``errors.PortInUse``."""
    port = settings.metrics_port
    if port is None:
        yield
        return
    try:
        server, thread = prometheus_client.start_http_server(port, settings.host, application.metrics.registry)
    except OSError:
        raise errors.PortInUse(host=settings.host, port=port, other=port + 1) from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _config(application: Application) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        lifespan="off",
        http=Protocol,
        ws="none",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        log_level="warning",
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=5,
        backlog=_BACKLOG,
    )


def _run(settings: Settings, listener: socket.socket, url: str) -> None:
    """Serve in this process, on the fastest event loop there is."""
    with asyncio.Runner(loop_factory=uvicorn.Config("", loop="auto").get_loop_factory()) as runner:
        runner.run(_serve(settings, listener, url))


def _work(settings: Settings, listener: socket.socket, url: str) -> None:
    """A worker process's main function."""
    os.setpgrp()  # Ctrl-C reaches the supervisor alone, which passes it on once
    _log(settings)
    try:
        _run(settings, listener, url)
    except errors.HokusaiError as error:
        log.critical("%s %s %s", error.code, error, error.advice)
        sys.exit(EXIT_START)


@dataclass
class _Worker:
    """One process, and in ``pause`` seconds of waiting how its forerunners fared."""

    process: multiprocessing.process.BaseProcess
    pause: float
    started: float
    due: float | None = None  # when it is to be replaced, once it has ended
    told: bool = False  # that it is to end


class Workers:
    """Keeps ``settings.workers`` processes on one listening socket.

    A worker that dies is replaced, after a pause that doubles while its successors die as well. At
    the first start, one that cannot start ends them all; later the cause is taken for one that
    passes. SIGTERM and SIGINT are passed on, and every worker drains.
    """

    def __init__(self, settings: Settings, listener: socket.socket, url: str) -> None:
        self._arguments = (settings, listener, url)
        self._count = settings.workers
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._ending = False

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        while len(self._workers) < self._count and not self._ending:
            self._workers.append(self._worker(pause=0))
        while not self._ending:
            alive = [worker.process.sentinel for worker in self._workers if worker.due is None]
            multiprocessing.connection.wait(alive, timeout=1)
            self._replace()
        self._tell([worker for worker in self._workers if not worker.told])  # started while the signal came
        for worker in self._workers:
            worker.process.join()

    def _replace(self) -> None:
        for place, worker in enumerate(self._workers):
            if self._ending or worker.process.is_alive():
                continue
            if worker.due is None:
                self._ended(worker)
            elif time.monotonic() >= worker.due:
                self._workers[place] = self._worker(pause=worker.pause)

    def _ended(self, worker: _Worker) -> None:
        process, now = worker.process, time.monotonic()
        if process.exitcode == EXIT_START and not worker.pause:
            self._end(signal.SIGTERM, None)
            raise errors.WorkerFailed()
        lasted = now - worker.started > 2 * _LONGEST_PAUSE
        worker.pause = _FIRST_PAUSE if lasted else min(max(2 * worker.pause, _FIRST_PAUSE), _LONGEST_PAUSE)
        worker.due = now + worker.pause
        text = "worker %s ended with %s; starting another in %g seconds"
        log.error(text, process.pid, process.exitcode, worker.pause)

    def _worker(self, *, pause: float) -> _Worker:
        return _Worker(self._spawn(), pause=pause, started=time.monotonic())

    def _spawn(self) -> multiprocessing.process.BaseProcess:
        process = self._context.Process(target=_work, args=self._arguments)
        process.start()
        return process

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._ending = True
        self._tell(self._workers)

    def _tell(self, workers: list[_Worker]) -> None:
        for worker in workers:
            worker.told = True
            if worker.process.is_alive() and worker.process.pid:
                os.kill(worker.process.pid, signal.SIGTERM)
