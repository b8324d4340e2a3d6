"""Several serving processes on one listening socket, supervised and replaced."""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.connection
import multiprocessing.process
import os
import pickle
import shutil
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from hokusai import errors
from hokusai.gateway import forget_worker, shared_by_workers
from hokusai.parent_process import Descriptor, child_main
from hokusai.server.draining import GRACE_SECONDS
from hokusai.server.logs import configure_logging
from hokusai.server.process import serve
from hokusai.settings import Settings

log = logging.getLogger("hokusai")

#: The exit code of a worker that could not start.
EXIT_START = 2

#: Seconds after its time that a worker gets before it is killed.
_SLACK = 1.0
#: Seconds to wait before a worker that ended is replaced. Doubled while its replacements end as well.
_MIN_BACKOFF, _MAX_BACKOFF = 1.0, 30.0


@dataclass
class _Worker:
    """A worker process. ``backoff`` is how long it was waited for before it was started, in seconds.

    Once it has ended, ``replace_at`` is when its replacement starts (``time.monotonic``).
    """

    process: multiprocessing.process.BaseProcess
    backoff: float
    started: float
    replace_at: float | None = None
    signalled: bool = False


class Workers:
    """Keeps ``settings.workers`` processes on one listening socket.

    A worker that ends is replaced, after a wait that doubles while its replacements end as well. If a worker cannot
    start at the first start, everything ends; later the cause is assumed to be temporary. SIGTERM and SIGINT are passed
    on, and every worker drains.

    A supervisor that is killed is a crash: its workers end at once, whatever they do. Until the last one has ended they
    hold ``lock``, the descriptor of the data directory's lock, so that the next server waits for them.
    """

    def __init__(self, settings: Settings, listener: socket.socket, url: str, lock: int) -> None:
        self._arguments = (settings, url)
        self._inherited = (Descriptor(listener.fileno()), Descriptor(lock))
        self._metrics = metrics_directory(settings)
        self._count = settings.workers
        self._stop_seconds = settings.drain_seconds + GRACE_SECONDS + _SLACK
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._place = 0  # of the worker that is being started
        self._stopping = False

    def run(self) -> None:
        """Returns after a signal, when every worker has ended. Raises ``errors.WorkerFailed``."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        self._metrics.mkdir(mode=0o700, exist_ok=True)
        while len(self._workers) < self._count and not self._stopping:
            self._workers.append(self._started(len(self._workers), backoff=0))
        while not self._stopping:
            alive = [worker.process.sentinel for worker in self._workers if worker.replace_at is None]
            multiprocessing.connection.wait(alive, timeout=1)
            self._replace()
        self._terminate([worker for worker in self._workers if not worker.signalled])  # started during the signal
        self._join()

    def _join(self) -> None:
        """Every worker ends itself in time. One that cannot even do that is killed."""
        end = time.monotonic() + self._stop_seconds
        for worker in self._workers:
            worker.process.join(max(0.0, end - time.monotonic()))
            if worker.process.is_alive():
                log.error("worker process %s did not end, and is killed", worker.process.pid)
                worker.process.kill()
                worker.process.join()
        shutil.rmtree(self._metrics, ignore_errors=True)

    def _replace(self) -> None:
        for place, worker in enumerate(self._workers):
            if self._stopping or worker.process.is_alive():
                continue
            if worker.replace_at is None:
                forget_worker(self._metrics, place)
                self._ended(worker)
            elif time.monotonic() >= worker.replace_at:
                self._workers[place] = self._started(place, backoff=worker.backoff)

    def _ended(self, worker: _Worker) -> None:
        process, now = worker.process, time.monotonic()
        if process.exitcode == EXIT_START and not worker.backoff:
            self._stop(signal.SIGTERM, None)
            raise errors.WorkerFailed()
        lasted = now - worker.started > 2 * _MAX_BACKOFF
        worker.backoff = _MIN_BACKOFF if lasted else min(max(2 * worker.backoff, _MIN_BACKOFF), _MAX_BACKOFF)
        worker.replace_at = now + worker.backoff
        text = "worker process %s ended with exit code %s; another one starts in %g seconds"
        log.error(text, process.pid, process.exitcode, worker.backoff)

    def _started(self, place: int, *, backoff: float) -> _Worker:
        self._place = place
        return _Worker(self._spawn(), backoff=backoff, started=time.monotonic())

    def _spawn(self) -> multiprocessing.process.BaseProcess:
        arguments = pickle.dumps((*self._arguments, self._metrics, self._place))
        process = self._context.Process(
            target=child_main, args=(os.getpid(), f"{__name__}:_worker_main", *self._inherited, arguments)
        )
        process.start()
        return process

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True
        self._terminate(self._workers)

    def _terminate(self, workers: list[_Worker]) -> None:
        for worker in workers:
            worker.signalled = True
            if worker.process.is_alive() and worker.process.pid:
                os.kill(worker.process.pid, signal.SIGTERM)


def metrics_directory(settings: Settings) -> Path:
    """Where several workers count together."""
    return settings.data.resolve() / "metrics"


def _worker_main(listener: Descriptor, _lock: Descriptor, arguments: bytes) -> None:
    settings, url, metrics, place = pickle.loads(arguments)  # noqa: S301 - the supervisor's
    os.setpgrp()  # Ctrl-C reaches only the supervisor, which passes it on once
    configure_logging(settings)
    shared_by_workers(metrics, place)
    try:
        serve(settings, socket.socket(fileno=listener.number), url, metrics)
    except errors.HokusaiError as error:
        log.critical("%s %s %s", error.code, error, error.advice)
        sys.exit(EXIT_START)
