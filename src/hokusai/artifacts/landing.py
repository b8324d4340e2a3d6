"""Files that arrive at the same moment are recorded together: one transaction for many."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from hokusai import errors
from hokusai.artifacts.ledger import Ledger
from hokusai.artifacts.path import Place
from hokusai.artifacts.store import Written
from hokusai.identity import Quota

log = logging.getLogger("hokusai.artifacts")

#: Files in one transaction, at most.
_MOST = 64


@dataclass(slots=True, eq=False)
class Landing:
    """One file that is to appear, by ``commit``, together with its record. ``outcome`` is whether both happened."""

    place: Place
    written: Written
    key_id: str
    quota: Quota
    commit: Callable[[], Awaitable[None]]
    outcome: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def fail(self, error: BaseException) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(error)

    def succeed(self) -> None:
        if not self.outcome.done():
            self.outcome.set_result(None)


class Landings:
    """Lets files appear, each as ``Ledger.recording`` promises, for stores that land at once.

    A transaction costs about the same for one file as for many. While one is under way the next files
    wait, and share the one after it; a file that comes alone does not wait.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: list[Landing] = []
        self._task: asyncio.Task[None] | None = None

    async def land(self, landing: Landing) -> None:
        """Raises what ``Ledger.recording`` and the landing's ``commit`` raise."""
        self._waiting.append(landing)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="landings")
        await landing.outcome

    async def close(self) -> None:
        """Waits for what is landing."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        try:
            while batch := self._batch():
                await self._together(batch)
        finally:
            self._task = None

    def _batch(self) -> list[Landing]:
        """Those who have waited longest and still do, of several at one place the first."""
        batch: dict[Place, Landing] = {}
        rest: list[Landing] = []
        for landing in self._waiting:
            if landing.outcome.done():  # its request has ended
                continue
            if len(batch) < _MOST and landing.place not in batch:
                batch[landing.place] = landing
            else:
                rest.append(landing)
        self._waiting = rest
        return list(batch.values())

    async def _together(self, batch: list[Landing]) -> None:
        try:
            refusals = await self._ledger.record_all(
                [(one.place, one.written, one.key_id, one.quota, one.commit) for one in batch]
            )
        except (errors.DatabaseDown, errors.DatabaseReadOnly) as error:
            for landing in batch:
                landing.fail(error)
        except Exception as error:  # one could not appear; nothing of the others is recorded
            if len(batch) > 1:
                log.info("a file could not appear (%s); those beside it are taken one by one", error)
                for landing in batch:
                    await self._together([landing])
            else:
                batch[0].fail(error)
        else:
            for landing, refusal in zip(batch, refusals, strict=True):
                landing.fail(refusal) if refusal else landing.succeed()
