"""MLflow in child processes, as the ASGI app that the rest of this package calls."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from functools import partial

from starlette.types import Receive, Scope, Send

from hokusai import errors
from hokusai.database import Database, mlflow_probe
from hokusai.mlflow_api import WORKSPACE_HEADER
from hokusai.tracking.processes.answers import Answers
from hokusai.tracking.processes.channel import Message
from hokusai.tracking.processes.fair_queue import FairQueue, Gone
from hokusai.tracking.processes.pool import MLFLOW, Limits, Pool
from hokusai.tracking.processes.process import Killed, ProcessEnded
from hokusai.tracking.processes.processor_use import ProcessorUse
from hokusai.tracking.processes.serving import OUT_OF_MEMORY

log = logging.getLogger("hokusai.tracking")

_WORKSPACE = WORKSPACE_HEADER.lower().encode()
#: Outages that mean the same of MLflow's database as of ours. In every other one, MLflow does not answer.
_OUTAGES = {row.code: row for row in (errors.DatabaseReadOnly, errors.DatabaseFull)}


class ProcessEngine:
    """MLflow's REST API over ``database_url``, in ``processes`` child processes, and as many more for slow requests.

    No workspace has all of them at a time. ``on_killed`` is told why a process was killed.
    """

    def __init__(
        self,
        database_url: str,
        *,
        processes: int,
        limits: Limits,
        on_killed: Callable[[str], None] = lambda _: None,
        app: str = MLFLOW,
        log_json: bool = False,
    ) -> None:
        self.name = "in child processes"
        self._limits = limits
        self._database = _database(database_url)
        self._queue = FairQueue(places=processes, share=max(1, processes - 1), seconds=limits.seconds)
        self._use = ProcessorUse()
        self._answers = Answers(seconds=limits.seconds)
        self._pool = Pool(
            database_url,
            size=processes,
            spares=processes,
            limits=limits,
            resized=self._queue.resize,
            on_killed=on_killed,
            app=app,
            log_json=log_json,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body: bytes = (await receive()).get("body", b"")
        workspace = next((value.decode("latin-1") for name, value in scope["headers"] if name == _WORKSPACE), "")
        gone = partial(_disconnected, receive) if _only_reads(scope) else None
        async with AsyncExitStack() as sending:
            async with self._queue.place(workspace, gone):
                answer, content = await self._answer(scope, body, gone, workspace)
                await sending.enter_async_context(self._answers.place(workspace, content))
            await self._answers.send(send, answer, content)

    async def _answer(self, scope: Scope, body: bytes, gone: Gone | None, workspace: str) -> Message:
        low = self._use.is_above_average(workspace)
        used = partial(self._use.add, workspace)
        try:
            answer, content = await self._pool.call(_head(scope), body, gone=gone, low=low, used=used)
        except ProcessEnded as ended:
            raise self._error(ended.reason) from None
        if failed := answer.get("failed"):
            raise self._error(Killed.MEMORY) if failed == OUT_OF_MEMORY else self._too_large()
        if code := answer.get("outage"):
            raise _outage(code)
        return answer, content

    async def start(self) -> None:
        await self._pool.start()

    async def close(self) -> None:
        await self._pool.close()
        await self._database.close()

    async def check(self) -> None:
        """Asks MLflow's database itself, and writes there: readiness does not wait behind tenants' requests."""
        if not self._pool.ready:
            raise errors.TrackingDown()
        try:
            await self._database.check(mlflow_probe)
        except errors.Unavailable as error:
            log.error("MLflow's database is not ready: %s", error)
            raise _outage(error.code) from error

    def routes(self) -> Iterable[tuple[str, str]]:
        return self._pool.routes

    def _too_large(self) -> errors.HokusaiError:
        return errors.AnswerTooLarge(limit=self._limits.answer_bytes)

    def _error(self, reason: Killed | None) -> errors.HokusaiError:
        match reason:
            case Killed.MEMORY:
                return errors.RequestMemoryExceeded(limit=self._limits.memory_bytes)
            case Killed.PROCESSOR:
                return errors.RequestTimeExceeded(seconds=self._limits.seconds)
            case Killed.DEADLINE:
                return errors.TrackingTimeout(seconds=self._limits.seconds)
        return errors.TrackingProcessEnded()


def _database(url: str) -> Database:
    """MLflow's database, for the gateway itself. Raises ``errors.SettingInvalid``."""
    try:
        return Database(url, pool_size=1)
    except errors.SettingInvalid as error:
        raise errors.SettingInvalid(setting="HOKUSAI_TRACKING_DATABASE_URL", reason=error.reason) from None


def _outage(code: str) -> errors.Unavailable:
    return _OUTAGES.get(code, errors.TrackingDown)()


def _head(scope: Scope) -> dict[str, object]:
    return {
        "method": scope["method"],
        "path": scope["path"],
        "query": scope["query_string"].decode("latin-1"),
        "headers": [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
    }


def _only_reads(scope: Scope) -> bool:
    """Whether nothing is lost where the request is given up: MLflow's searches are POST as well."""
    return bool(scope["method"] == "GET" or scope["path"].endswith("/search"))


async def _disconnected(receive: Receive) -> None:
    """Returns when the client has gone: after the body, ``receive`` has nothing else to tell."""
    while (await receive())["type"] != "http.disconnect":
        pass
