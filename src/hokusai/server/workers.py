"""Several serving processes on one listening socket, watched and replaced."""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.connection
import multiprocessing.process
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass
from types import FrameType

from hokusai import errors
from hokusai.server.logs import configure_logging
from hokusai.server.process import serve
from hokusai.settings import Settings

log = logging.getLogger("hokusai")

EXIT_START = 2  # a worker's exit code when it could not start

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0  # seconds before a worker that ended is replaced


def _work(settings: Settings, listener: socket.socket, url: str) -> None:
    """A worker process's main function."""
    os.setpgrp()  # Ctrl-C reaches the supervisor alone, which passes it on once
    configure_logging(settings)
    try:
        serve(settings, listener, url)
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
