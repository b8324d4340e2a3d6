"""What the ledger records about artifacts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hokusai import errors
from hokusai.artifacts.path import Place
from hokusai.artifacts.store import Stat, Written
from hokusai.identity import Quota, Use
from hokusai.quota import excess


@dataclass(frozen=True, slots=True)
class Record:
    """A stored artifact, and the key that uploaded it. ``sha256`` is in hexadecimal.

    ``damaged`` is the ``Stat.version`` of a stored file that was read and found to be another one (see ``integrity``).
    """

    size: int
    sha256: str
    created: datetime
    key_id: str
    damaged: str | None = None

    def describes(self, stat: Stat) -> bool:
        """Whether this is the record of the very file that ``stat`` belongs to."""
        return self.size == stat.size and self.created == stat.created


@dataclass(frozen=True, slots=True)
class ReplacedFile:
    """The recorded file that a new one replaces."""

    place: Place
    size: int
    sha256: str

    @property
    def use(self) -> Use:
        return use_for(self.place.path, self.size)


@dataclass(frozen=True, slots=True)
class ExpectedVersion:
    """The version that a conditional request may replace: the recorded digest, or None for no recorded file."""

    sha256: str | None


@dataclass(frozen=True, slots=True, eq=False)
class PendingRecord:
    """A file that is about to become visible and to be recorded; it counts against ``quota``.

    ``commit`` makes it visible, for ``Ledger.record``. Where ``expected`` is set, that version must still be there.
    """

    place: Place
    written: Written
    key_id: str
    quota: Quota
    expected: ExpectedVersion | None = None
    commit: Callable[[], None] = lambda: None

    @property
    def use(self) -> Use:
        return use_for(self.place.path, self.written.size)

    @property
    def row(self) -> dict[str, Any]:
        facts = {"size": self.written.size, "sha256": self.written.sha256, "created_at": self.written.created}
        about = {"workspace": self.place.workspace, "path": self.place.path, "key_id": self.key_id}
        return {**about, **facts, "damaged": None}

    def refusal(self, replaced: ReplacedFile | None, now: Use) -> errors.HokusaiError | None:
        """Why it may not replace that file, in a workspace that uses ``now``."""
        if self.expected and self.expected.sha256 != (replaced.sha256 if replaced else None):
            return errors.ConditionFailed(header="If-Match or If-None-Match")
        return excess(now, self.use, self.quota, instead=use_of(replaced))


def use_for(path: str, size: int) -> Use:
    """What a file of ``size`` bytes uses at a path, relative to the workspace's root."""
    return Use(bytes=size, files=1, names=path.count("/") + 1)


def use_of(replaced: ReplacedFile | None) -> Use:
    return replaced.use if replaced else Use()
