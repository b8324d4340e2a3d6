"""What the clients asked for, what they were told, and what each thing may therefore be now."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

#: One thing that a change makes different, such as ``("tag", run, key)``; what it holds, None where it is not there.
Cell = tuple[str, ...]
Value = str | int | float | None
State = Literal["begun", "acknowledged", "refused", "unanswered"]


@dataclass
class Change:
    """One request. Of its cells all change, or none; where it ``may_be_partial``, some."""

    number: int
    action: str
    workspace: str
    cells: Mapping[Cell, Value]
    agent: str
    subject: str | None = None
    path: str = ""
    may_be_partial: bool = False
    state: State = "begun"
    status: int = 0
    code: str | None = None
    request_id: str | None = None
    #: What its cells might hold when it was sent.
    before: dict[Cell, frozenset[Value]] = field(default_factory=dict)

    def __str__(self) -> str:
        told = f"{self.status} {self.code or ''}".strip() if self.status else "no answer"
        return f"change {self.number} {self.action} {self.subject or self.path} ({self.state}: {told})"


_NOTHING: frozenset[Value] = frozenset({None})


class Journal:
    """All changes, and what each cell may hold. Safe for threads."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._numbers = 0
        self.cells: dict[Cell, frozenset[Value]] = {}
        self.last: dict[Cell, Change] = {}
        #: Since the last check.
        self.recent: list[Change] = []
        self.counts: dict[State, int] = dict.fromkeys(("begun", "acknowledged", "refused", "unanswered"), 0)
        self.codes: dict[str, int] = {}

    def holds(self, cell: Cell) -> frozenset[Value]:
        return self.cells.get(cell, _NOTHING)

    def certain(self, cell: Cell) -> Value:
        """Its value; None as well where nobody knows."""
        values = self.holds(cell)
        return next(iter(values)) if len(values) == 1 else None

    def begin(self, action: str, workspace: str, cells: Mapping[Cell, Value], **facts: object) -> Change:
        with self._lock:
            self._numbers += 1
            number = self._numbers
        change = Change(number, action, workspace, cells, f"{self._name}/{number}", **facts)  # type: ignore[arg-type]
        change.before = {cell: self.holds(cell) for cell in cells}
        return change

    def sent(self, change: Change) -> None:
        """From now on it may take effect."""
        with self._lock:
            self.recent.append(change)
            self.counts["begun"] += 1
            for cell, value in change.cells.items():
                self.cells[cell] = change.before[cell] | {value}
                self.last[cell] = change

    def end(self, change: Change, state: State) -> None:
        with self._lock:
            change.state = state
            self.counts[state] += 1
            if change.code:
                self.codes[change.code] = self.codes.get(change.code, 0) + 1
            for cell, value in change.cells.items():
                if state == "acknowledged":
                    self.cells[cell] = frozenset({value})
                elif state == "refused":
                    self.cells[cell] = change.before[cell]

    def add(self, change: Change, cells: Mapping[Cell, Value]) -> None:
        """Cells that only its answer told."""
        with self._lock:
            change.cells = {**change.cells, **cells}
            for cell, value in cells.items():
                change.before[cell] = _NOTHING
                self.cells[cell] = frozenset({value})
                self.last[cell] = change

    def forget(self, cells: list[Cell]) -> None:
        for cell in cells:
            self.cells.pop(cell, None)
            self.last.pop(cell, None)
