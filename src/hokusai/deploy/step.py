"""A release as a list of steps, run one after another and taken back together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from hokusai import errors

T = TypeVar("T")

State = Literal["running", "done", "already", "failed", "undoing", "undone", "stuck"]

#: Told of each step: its name and title, how it stands, and a few words about that.
Observe = Callable[["Step[T]", State, str], None]


@dataclass(frozen=True, slots=True)
class Step(Generic[T]):
    """``do``, ``plan`` and ``undo`` say what they did, would do or took back.

    ``done`` tells that there is nothing to do; it may learn what later steps need, and changes
    nothing, as ``plan`` does. With ``proven`` a failure takes nothing back any more.
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
    """Runs steps on ``subject``; ``ended`` is what became of each so far, ``error`` what stopped it.

    ``diagnose`` looks at what a failed step has left, before it is taken back.
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
        """Whether all went well. A step that fails, or Ctrl-C, has those before it undone, latest first.

        So does a fault of our own, which is raised again then. A second Ctrl-C ends it all, with
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
            except Exception as fault:
                self._stopped(begun, f"{type(fault).__name__}: {fault}")
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
        self._back(begun)

    def _one(self, step: Step[T]) -> None:
        self._begin(step, "running")
        if step.done(self._subject):
            self._end(step, "already", "")
        else:
            self._end(step, "done", step.do(self._subject))

    def _back(self, begun: Sequence[Step[T]]) -> None:
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
