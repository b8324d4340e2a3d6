"""Ledger and store agree again, after a crash or an outage between two steps of a change.

The ledger decides (see ``ledger``). What is looked for, at the start and then every few seconds:

- An uploaded file without its own name (``Staging.abandoned``) gets it if it is recorded, and is removed if it is not.
- What is in the trash (``Staging.abandoned_removals``) is put back if it is still recorded, and purged if it is not.
- The object of an intent (``quota.pending``) is recorded if it is there, and no longer counted if it is not.

A running process keeps for itself what it could not decide because the database did not answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from hokusai import errors
from hokusai.artifacts.group_commit import PendingFile
from hokusai.artifacts.ledger import Ledger
from hokusai.artifacts.path import Place, place_of
from hokusai.artifacts.record import Record
from hokusai.artifacts.store import ArtifactStore, Removal, Staging, Stat
from hokusai.periodic import PeriodicTask
from hokusai.quota import Hold, Intent

log = logging.getLogger("hokusai.artifacts")

#: Rounds in which a file has to be unknown to the ledger before it is removed: a transaction of a process that was
#: killed may still be committing.
_ROUNDS = 3
#: Objects that are looked at together.
_TOGETHER = 8


@dataclass(frozen=True, slots=True)
class Unsettled:
    """What an interrupted change left. ``id`` tells it from all others; ``place`` is None where nothing tells it."""

    id: str
    place: Place | None
    what: str


class Settling:
    """Decides what becomes of everything that is between two steps, unless its request is still running.

    It looks at the start, and then every few ``seconds``.
    """

    def __init__(self, store: ArtifactStore, ledger: Ledger, *, seconds: float = 2) -> None:
        self._store = store
        self._ledger = ledger
        self._files: list[PendingFile] = []
        self._removals: list[Removal] = []
        self._unknown: dict[str, int] = {}
        self._task = PeriodicTask(self._round, name="settling", seconds=seconds, first=seconds)
        self._failing = False
        #: Whether something was left at the start.
        self.found_interrupted = False

    async def start(self) -> None:
        with suppress(errors.HokusaiError):  # the round says so
            self.found_interrupted = bool(await self.unsettled())
        await self._round()
        self._task.start()

    async def close(self) -> None:
        await self._task.close()

    def add_files(self, files: Sequence[PendingFile]) -> None:
        """Nobody knows whether these are recorded."""
        self._files += files

    async def removal(self, removal: Removal, *, in_doubt: bool = True) -> bool:
        """Put back what was removed; where that is ``in_doubt``, only if it is still recorded, and purge it otherwise.

        False where that cannot be done now: it is tried again.
        """
        try:
            await (self._decide_removal(removal) if in_doubt else removal.put_back())
        except errors.HokusaiError:
            self._removals.append(removal)
            return False
        return True

    async def settle(self, place: Place, record: Record | None) -> bool:
        """A reader found another file than the recorded one. Whether a change was not finished, and is now."""
        if staging := self._store.staging:
            return bool(record and record.staged and await staging.settle(record.staged, place.key))
        return any([await self._settle_intent(intent) for intent in await self._ledger.intents(place)])

    async def unsettled(self) -> Sequence[Unsettled]:
        """What no running process has, as it is now."""
        found = [_expired(hold) for hold in await self._ledger.expired()]
        if staging := self._store.staging:
            names = await staging.abandoned()
            places = await self._ledger.staged(names)
            found += [_upload(name, places.get(name)) for name in names]
            for removal in await staging.abandoned_removals():
                if key := await removal.key():
                    found.append(Unsettled(f"removal {removal.name}", place_of(key), "a deletion"))
                    await removal.leave()
                else:  # a deletion that had just begun gives it up, because we had it for a moment
                    await removal.purge()
        return found

    async def settle_all(self, *, pause: float) -> None:
        """All that is unsettled now. ``pause`` is in seconds, between two rounds."""
        for number in range(_ROUNDS):
            await asyncio.sleep(pause if number else 0)
            await self._round()
        for hold in await self._ledger.expired():
            if hold.intent["path"] is None:
                await self._ledger.end(hold)

    async def _round(self) -> None:
        steps: Sequence[Callable[[], Awaitable[None]]] = (self._settle_intents,)
        if staging := self._store.staging:
            steps = (
                self._settle_files,
                self._settle_removals,
                lambda: self._settle_abandoned(staging),
                lambda: self._settle_abandoned_removals(staging),
            )
        try:
            for step in steps:
                await step()
        except errors.HokusaiError as error:
            if not self._failing:
                log.warning("what an interrupted change left cannot be settled now, and is tried again: %s", error)
            self._failing = True
        except Exception:
            log.exception("what an interrupted change left could not be settled")
        else:
            self._failing = False

    async def _settle_files(self) -> None:
        files, self._files = self._files, []
        if not files:
            return
        try:
            committed = await asyncio.to_thread(
                self._ledger.committed, {file.place: file.staged.name for file in files}
            )
        except BaseException:
            self._files += files
            raise
        for file in files:
            try:
                await asyncio.to_thread(_name if file.place in committed else _discard, file)
            except errors.HokusaiError:
                self._files.append(file)

    async def _settle_removals(self) -> None:
        removals, self._removals = self._removals, []
        for removal in removals:
            await self.removal(removal)

    async def _settle_abandoned(self, staging: Staging) -> None:
        names = await staging.abandoned()
        places = await self._ledger.staged(names)
        for name, place in places.items():
            if await staging.settle(name, place.key):
                log.info(
                    "an upload that was recorded has got its name: %s in workspace %s", place.path, place.workspace
                )
        self._unknown = {name: self._unknown.get(name, 0) + 1 for name in names if name not in places}
        for name in [name for name, rounds in self._unknown.items() if rounds >= _ROUNDS]:
            await staging.discard(name)
            log.info("an upload that was interrupted has been removed")

    async def _settle_abandoned_removals(self, staging: Staging) -> None:
        for removal in await staging.abandoned_removals():
            await self.removal(removal)

    async def _decide_removal(self, removal: Removal) -> None:
        place = place_of(await removal.key())
        records = await self._ledger.below(place) if place else ()
        for where, record in records:
            stat = await removal.stat(where.key)
            if stat and record.describes(stat):
                await removal.put_back()
                return
        await removal.purge()

    async def _settle_intents(self) -> None:
        for intent in await self._ledger.intents():
            await self._settle_intent(intent)

    async def _settle_intent(self, intent: Intent) -> bool:
        """Whether its file was recorded."""
        place = Place(intent.path, intent.hold.workspace, intent.path)
        if intent.sha256 is None:
            await self._settle_deletion(place, intent)
            return False

        async def is_there() -> bool:
            return await self._store.stat(place.key) == Stat(intent.hold.use.bytes, intent.created)

        return await self._ledger.settle_intent(intent, is_there)

    async def _settle_deletion(self, place: Place, intent: Intent) -> None:
        """Forget the files that the deletion got to. The others stay: its client had no answer."""
        if not intent.expired:
            return
        after, unrecorded = "", [intent]
        while records := await self._ledger.below(place, after=after):
            after = records[-1][0].path
            for start in range(0, len(records), _TOGETHER):
                some = [one for one in records[start : start + _TOGETHER] if one[1].created < intent.created]
                stats = await asyncio.gather(*(self._store.stat(where.key) for where, _ in some))
                gone = [one for one, stat in zip(some, stats, strict=True) if stat is None]
                if await self._ledger.forget(gone, *unrecorded):
                    unrecorded = []
        await self._ledger.end(intent.hold)


def _expired(hold: Hold) -> Unsettled:
    path = hold.intent["path"] or ""
    return Unsettled(f"intent {hold.id}", Place(path, hold.workspace, path), "an intent that has expired")


def _upload(name: str, place: Place | None) -> Unsettled:
    what = "an upload that is recorded and has no name yet" if place else "an upload that was not recorded"
    return Unsettled(f"upload {name}", place, what)


def _name(file: PendingFile) -> None:
    file.staged.commit()
    file.staged.sync_names(set())


def _discard(file: PendingFile) -> None:
    file.staged.discard()
