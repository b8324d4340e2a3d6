"""A release as a list of steps, run one after another, and undone together where one fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from hokusai import errors

T = TypeVar("T")

State = Literal["running", "done", "already", "failed", "undoing", "undone", "stuck"]

#: Called whenever the state of a step changes, with a few words about it.
Observe = Callable[["Step[T]", State, str], None]


@dataclass(frozen=True, slots=True)
class Step(Generic[T]):
    """``do``, ``plan`` and ``undo`` return in words what they did, would do or undid.

    ``done`` tells whether there is nothing left to do. It changes nothing, as ``plan``, but may collect facts for later
    steps. With ``proven``, the release works already, and a failure of this step undoes nothing.
    """

    name: str
    title: str
    plan: Callable[[T], Iterable[str]]
    done: Callable[[T], bool]
    do: Callable[[T], str]
    undo: Callable[[T], str] | None = None
    proven: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """How one step ended."""

    name: str
    title: str
    state: State
    words: str
    seconds: float


class Run(Generic[T]):
    """Runs steps on ``subject``. ``ended`` has the result of each so far, ``error`` is what stopped it.

    ``diagnose`` is called after a step has failed, before anything is undone.
    """

    def __init__(
        self, steps: Sequence[Step[T]], subject: T, *, observe: Observe[T], diagnose: Callable[[T], None]
    ) -> None:
        self._steps = steps
        self._subject = subject
        self._observe = observe
        self._diagnose = diagnose
        self._since = 0.0
        self.ended: list[Done] = []
        self.error: errors.HokusaiError | None = None

    def go(self) -> bool:
        """Whether all steps succeeded. After a failed step, or Ctrl-C, the steps so far are undone, latest first.

        The same after an unexpected exception, which is then raised again. A second Ctrl-C raises
        ``KeyboardInterrupt``.
        """
        begun: list[Step[T]] = []
        for step in self._steps:
            begun.append(step)
            try:
                self._one(step)
                continue
            except errors.HokusaiError as error:
                self.error = error
            except KeyboardInterrupt:
                self.error = errors.Interrupted(step=step.title)
            except Exception as unexpected:
                self._stopped(begun, f"{type(unexpected).__name__}: {unexpected}")
                raise
            self._stopped(begun, str(self.error))
            return False
        return True

    def _stopped(self, begun: Sequence[Step[T]], words: str) -> None:
        self._end(begun[-1], "failed", words)
        if begun[-1].proven:
            return
        if self.error is not None and not isinstance(self.error, errors.Interrupted):
            self._diagnose(self._subject)
        self._undo(begun)

    def _one(self, step: Step[T]) -> None:
        self._begin(step, "running")
        if step.done(self._subject):
            self._end(step, "already", "")
        else:
            self._end(step, "done", step.do(self._subject))

    def _undo(self, begun: Sequence[Step[T]]) -> None:
        for step in reversed(begun):
            if step.undo is None:
                continue
            self._begin(step, "undoing")
            try:
                self._end(step, "undone", step.undo(self._subject))
            except errors.HokusaiError as error:
                self._end(step, "stuck", f"{error} {error.advice}")

    def _begin(self, step: Step[T], state: State) -> None:
        self._since = time.monotonic()
        self._observe(step, state, "")

    def _end(self, step: Step[T], state: State, words: str) -> None:
        self.ended.append(Done(step.name, step.title, state, words, time.monotonic() - self._since))
        self._observe(step, state, words)
