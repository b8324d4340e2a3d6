"""Files that arrive at the same moment are recorded together: one transaction for many."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from hokusai import errors
from hokusai.artifacts.ledger import Arrival, Ledger
from hokusai.artifacts.path import Place

log = logging.getLogger("hokusai.artifacts")

#: Files in one transaction, at most.
_MOST = 64


@dataclass(slots=True, eq=False)
class _Landing:
    """An arrival that waits for its ``outcome``."""

    arrival: Arrival
    outcome: asyncio.Future[None]

    def end(self, error: Exception | None) -> None:
        if self.outcome.done():
            return
        if error is None:
            self.outcome.set_result(None)
        else:
            self.outcome.set_exception(error)


class Landings:
    """Lets files appear, each as ``Ledger.record`` promises, for stores that land at once.

    A transaction costs about the same for one file as for many. While one is under way the next files
    wait, and share the one after it; a file that comes alone does not wait.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: list[_Landing] = []
        self._task: asyncio.Task[None] | None = None

    async def land(self, arrival: Arrival) -> None:
        """Raises the refusal, or what ``Ledger.record`` raises."""
        landing = _Landing(arrival, asyncio.get_running_loop().create_future())
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

    def _batch(self) -> list[_Landing]:
        """Those who have waited longest and still do, of several at one place the first."""
        batch: dict[Place, _Landing] = {}
        rest: list[_Landing] = []
        for landing in self._waiting:
            if landing.outcome.done():  # its request has ended
                continue
            if len(batch) < _MOST and landing.arrival.place not in batch:
                batch[landing.arrival.place] = landing
            else:
                rest.append(landing)
        self._waiting = rest
        return list(batch.values())

    async def _together(self, batch: list[_Landing]) -> None:
        try:
            refusals = await self._ledger.record([landing.arrival for landing in batch])
        except (errors.DatabaseDown, errors.DatabaseReadOnly) as error:
            for landing in batch:
                landing.end(error)
        except Exception as error:  # one could not appear; nothing of the others is recorded
            if len(batch) == 1:
                batch[0].end(error)
                return
            log.info("a file could not appear (%s); those beside it are taken one by one", error)
            for landing in batch:
                await self._together([landing])
        else:
            for landing, refusal in zip(batch, refusals, strict=True):
                landing.end(refusal)
