"""What the ledger records about artifacts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hokusai import errors
from hokusai.artifacts.path import Place
from hokusai.artifacts.store import Stat, Written
from hokusai.audit import Recording
from hokusai.identity import Quota, Use
from hokusai.quota import excess


@dataclass(frozen=True, slots=True)
class Record:
    """A stored artifact, and the key that uploaded it. ``sha256`` is in hexadecimal.

    ``damaged`` is the ``Stat.version`` of a stored file that was read and found to be another one (see ``integrity``).
    ``staged`` is the name that the file had before it got its own (``store.Staging``), in a store that has such names.
    """

    size: int
    sha256: str
    created: datetime
    key_id: str
    damaged: str | None = None
    staged: str | None = None

    def describes(self, stat: Stat) -> bool:
        """Whether this is the record of the very file that ``stat`` belongs to."""
        return self.size == stat.size and self.created == stat.created


@dataclass(frozen=True, slots=True)
class ReplacedFile:
    """The recorded file that a new one replaces. ``row`` is all that is recorded of it."""

    place: Place
    row: Mapping[str, Any]

    @property
    def sha256(self) -> str:
        return str(self.row["sha256"])

    @property
    def staged(self) -> str | None:
        staged: str | None = self.row["staged"]
        return staged

    @property
    def use(self) -> Use:
        return use_for(self.place.path, int(self.row["size"]))


@dataclass(frozen=True, slots=True)
class ExpectedVersion:
    """The version that a conditional request may replace: the recorded digest, or None for no recorded file."""

    sha256: str | None


@dataclass(frozen=True, slots=True, eq=False)
class PendingRecord:
    """A file that is about to be recorded and to become visible; it counts against ``quota``.

    Where ``expected`` is set, that version must still be there. ``staged`` is its name in the store's ``Staging``, and
    ``prepare`` is called before the record is committed. ``recording`` is the row of the audit trail that is committed
    with it.
    """

    place: Place
    written: Written
    key_id: str
    quota: Quota
    expected: ExpectedVersion | None = None
    staged: str | None = None
    prepare: Callable[[], None] = lambda: None
    recording: Recording | None = None

    @property
    def use(self) -> Use:
        return use_for(self.place.path, self.written.size)

    @property
    def row(self) -> dict[str, Any]:
        facts = {"size": self.written.size, "sha256": self.written.sha256, "created_at": self.written.created}
        about = {"workspace": self.place.workspace, "path": self.place.path, "key_id": self.key_id}
        return {**about, **facts, "damaged": None, "staged": self.staged}

    @property
    def intent(self) -> dict[str, Any]:
        """What ``quota.pending`` keeps of it while it is being committed."""
        return {name: self.row[name] for name in ("path", "sha256", "created_at", "key_id")}

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
