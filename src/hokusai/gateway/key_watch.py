"""Judges keys again while their requests last: a revoked key ends its uploads, its downloads and what waits in a queue.

Theory of operation
===================

``Identify`` judges the key of a request once, when it arrives. A request may last for hours. So each request is
*watched* under its key and address, and ends as soon as that key would be refused here:

- ``KeyWatch`` judges each watched key every ``SECONDS``, once for all of its requests. The authenticator caches its
  answers (at most 1.5 s by default, and not past a change that this process made), so this costs one look-up in that
  time for each key with lasting requests, however many requests and bytes there are. One timer serves all keys.
- A request that stores something asks once more at the point from which it cannot be stopped
  (``identity.Landing``): ``confirm`` judges its key, and ``begin`` says that what it stores becomes visible now.
  From then on it is not ended: its client learns what became of it.

A request ends by being cancelled where it waits, so whatever it holds is closed as if its client had gone.

An outage is not a verdict: while keys cannot be judged, requests continue. But nothing lands: ``confirm`` raises what
the authenticator raises.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from hokusai import errors
from hokusai.identity import Principal

#: Seconds from one judgement of a key to the next. With the seconds that a verdict is cached, at most two.
SECONDS = 0.3


class Authenticator(Protocol):
    """What this module needs from ``auth``."""

    async def authenticate(self, key: str, address: str) -> Principal | errors.Denied: ...


class WatchedRequest:
    """One request, watched while a ``with`` block runs. An ``identity.Landing``: the app behind the gateway uses it.

    The block raises the refusal in the place of the cancellation by which it was ended.
    """

    __slots__ = ("_landing", "_place", "_task", "_watch", "refusal")

    def __init__(self, watch: KeyWatch, key: str, address: str) -> None:
        self.refusal: errors.Denied | None = None
        self._watch = watch
        self._place = (key, address)
        self._landing = False
        self._task = asyncio.current_task()

    def __enter__(self) -> WatchedRequest:
        self._watch.add(self._place, self)
        return self

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        self._watch.discard(self._place, self)
        if self.refusal is None or self._task is None:
            return
        alone = self._task.uncancel() == 0  # nobody else has cancelled it as well
        if alone and isinstance(error, asyncio.CancelledError):
            raise self.refusal from None

    async def confirm(self) -> None:
        verdict = await self._watch.authenticator.authenticate(*self._place)
        if isinstance(verdict, errors.Denied):
            raise verdict
        if self.refusal is not None:  # meanwhile
            raise self.refusal

    def begin(self) -> bool:
        self._landing = self._landing or self.refusal is None
        return self._landing

    def end(self, refusal: errors.Denied) -> None:
        """Cancel the request, unless what it stores is becoming visible."""
        if self._landing or self.refusal is not None or self._task is None:
            return
        self.refusal = type(refusal).of(refusal.facts)  # each request raises an error of its own
        self._task.cancel()


class KeyWatch:
    """Watches the keys of the requests in progress. See the theory of operation above."""

    def __init__(self, authenticator: Authenticator, *, seconds: float = SECONDS) -> None:
        self.authenticator = authenticator
        self._seconds = seconds
        self._watched: dict[tuple[str, str], set[WatchedRequest]] = {}
        self._judging: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def request(self, key: str, address: str) -> WatchedRequest:
        """The request of the running task. It is watched in a ``with`` block."""
        return WatchedRequest(self, key, address)

    def add(self, place: tuple[str, str], request: WatchedRequest) -> None:
        self._watched.setdefault(place, set()).add(request)
        if self._timer is None:
            self._arm()

    def discard(self, place: tuple[str, str], request: WatchedRequest) -> None:
        requests = self._watched[place]
        requests.discard(request)
        if not requests:
            del self._watched[place]

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._round)

    def _round(self) -> None:
        """Judge every key that has requests now, unless that is still going on."""
        self._timer = None
        for place in self._watched.keys() - self._judging.keys():
            self._judging[place] = asyncio.create_task(self._judge(place), name="key-watch")
        if self._watched:
            self._arm()

    async def _judge(self, place: tuple[str, str]) -> None:
        try:
            verdict = await self.authenticator.authenticate(*place)
        except errors.HokusaiError:  # an outage: nobody knows
            return
        finally:
            del self._judging[place]
        if isinstance(verdict, errors.Denied):
            for request in list(self._watched.get(place, ())):
                request.end(verdict)
