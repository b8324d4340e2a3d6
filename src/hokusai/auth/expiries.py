"""When the next key of each workspace expires, looked up now and then: for the metrics."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from hokusai import errors
from hokusai.auth.store import KeyStore
from hokusai.periodic import PeriodicTask

log = logging.getLogger("hokusai.auth")


class KeyExpiries:
    """Passes on, every ``seconds``, when the next key of each workspace expires (None: of the platform keys)."""

    def __init__(
        self, store: KeyStore, publish: Callable[[Mapping[str | None, datetime]], None], *, seconds: float = 30
    ) -> None:
        self._store = store
        self._publish = publish
        self._task = PeriodicTask(self._round, name="key-expiries", seconds=seconds)

    async def start(self) -> None:
        self._task.start()

    async def close(self) -> None:
        await self._task.close()

    async def _round(self) -> None:
        try:
            self._publish(await self._store.next_expiries())
        except errors.Unavailable as error:
            log.info("the metrics of keys that expire are old: %s", error)
        except Exception:
            log.exception("the metrics of keys that expire are old")
