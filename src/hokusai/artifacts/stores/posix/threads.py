"""Blocking calls on threads, with a time limit, and the system's errors translated to ours."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, ParamSpec, TypeVar

from hokusai import errors
from hokusai.artifacts.stores import store_errors

log = logging.getLogger("hokusai.artifacts")

P = ParamSpec("P")
T = TypeVar("T")

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class Threads:
    """Runs blocking calls on ``count`` threads, each for at most ``seconds``."""

    def __init__(self, count: int, seconds: float) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="artifacts")
        self._seconds = seconds

    def submit(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._pool, partial(call, *args, **kwargs))

    async def run(self, action: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """``action`` (``read``, ``write``, ``list`` or ``delete``) is for the error, where there is one."""
        return await self.result(action, self.submit(call, *args, **kwargs))

    async def result(self, action: str, future: asyncio.Future[T]) -> T:
        with translate_errors(action):  # TimeoutError is an OSError
            async with asyncio.timeout(self._seconds):
                return await future

    async def run_or_undo(self, action: str, call: Callable[[], T], undo: Callable[[T], object]) -> T:
        """As ``run``. Where the caller does not wait for the end of the call, ``undo`` is called with its result."""
        running = self._pool.submit(call)
        try:
            return await self.result(action, asyncio.wrap_future(running))
        except BaseException:
            running.cancel()
            running.add_done_callback(lambda done: done.cancelled() or done.exception() or undo(done.result()))
            raise

    def later(self, call: Callable[[], T]) -> asyncio.Future[T]:
        """Run a call that must happen even if nobody waits for it."""
        future = self.submit(call)
        future.add_done_callback(_log_failure)
        return future

    async def wait(self, future: asyncio.Future[None]) -> None:
        """Wait for a call, unless the disk hangs. Never raises what the call raised."""
        await asyncio.wait({future}, timeout=self._seconds)

    async def close(self) -> None:
        await asyncio.to_thread(self._pool.shutdown)


@contextmanager
def translate_errors(action: str) -> Iterator[None]:
    """Turns what the system raises in the block into an error of ours."""
    try:
        yield
    except OSError as error:
        raise _translated(error, action) from error


def _translated(error: OSError, action: str) -> errors.HokusaiError:
    if error.errno == errno.EISDIR:
        return store_errors.is_directory()
    if error.errno == errno.ENOTDIR:
        return store_errors.parent_is_file()
    if error.errno == errno.ENAMETOOLONG:
        return store_errors.name_too_long()
    log.error("the artifact store failed to %s: %r", action, error)
    if error.errno in _FULL:
        return errors.ArtifactStoreFull()
    if error.errno in _DENIED:
        return store_errors.denied(action)
    return errors.ArtifactStoreDown()


def _log_failure(future: asyncio.Future[Any]) -> None:
    if not future.cancelled() and (error := future.exception()):
        log.error("temporary files of the artifact store could not be cleaned up: %s", error)
