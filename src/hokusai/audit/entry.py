"""One entry of the audit trail, as a value: bounded in length, and without a character that could forge a line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any

from hokusai.audit.table import MAX_DETAILS, MAX_PATH, MAX_SUBJECT
from hokusai.text import escaped

_SAMPLE = 200  # characters of a path or a user agent in a sample


@dataclass(frozen=True, slots=True)
class Entry:
    """Who did what to which subject, from where, and how it ended.

    ``within`` is what the subject belongs to or was made from: a version's model, a new key's predecessor. ``times`` is
    how many requests it stands for; ``details`` are more facts, in JSON. It contains no secrets.
    """

    at: datetime
    request_id: str
    address: str
    method: str
    path: str
    status: int
    seconds: float
    key_id: str | None = None
    user_id: str | None = None
    workspace: str | None = None
    code: str | None = None
    permission: str | None = None
    action: str | None = None
    subject_type: str | None = None
    subject: str | None = None
    within: str | None = None
    times: int = 1
    bytes: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The values for a JSON line."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return found | {"at": self.at.isoformat(), "path": escaped(self.path, MAX_PATH)}

    @classmethod
    def read(cls, text: str) -> Entry:
        """From the JSON of ``document``."""
        found = json.loads(text)
        return cls(**{**found, "at": datetime.fromisoformat(found["at"])})

    def row(self) -> dict[str, Any]:
        """The values for the table."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        found["path"] = escaped(self.path, MAX_PATH)
        found["subject"], found["within"] = bounded(self.subject), bounded(self.within)
        found["details"] = _details(self.details)
        return found

    def sample(self) -> dict[str, Any]:
        """What of one request is kept where many are merged."""
        found = {"request_id": self.request_id, "address": self.address, "method": self.method}
        found["path"] = escaped(self.path, _SAMPLE)
        if self.subject is not None:
            found["subject"] = escaped(self.subject, _SAMPLE)
        return found | ({"agent": self.details["agent"]} if "agent" in self.details else {})


def bounded(subject: str | None) -> str | None:
    """A subject as it is stored and looked up: a long one is cut, and told from others by a digest of the whole."""
    if subject is None:
        return None
    text = escaped(subject, MAX_SUBJECT + 1)
    if len(text) <= MAX_SUBJECT:
        return text
    digest = hashlib.sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{text[: MAX_SUBJECT - 33]}…{digest}"


def _details(details: Mapping[str, Any]) -> str | None:
    """As JSON in ASCII; without its longest values where all of it is too long."""
    kept = dict(details)
    text = json.dumps(kept)
    while len(text) > MAX_DETAILS:
        del kept[max(kept, key=lambda name: len(json.dumps(kept[name])))]
        text = json.dumps(kept)
    return text if kept else None


@dataclass(slots=True)
class Merged:
    """Entries that one row stands for."""

    first: Entry
    last: Entry
    times: int = 1
    samples: list[dict[str, Any]] = field(default_factory=list)
    bytes: int | None = None

    @classmethod
    def of(cls, entry: Entry) -> Merged:
        return cls(entry, entry, entry.times, [entry.sample()], entry.bytes)

    def add(self, entry: Entry, *, max_samples: int) -> None:
        self.last = entry
        self.times += entry.times
        if entry.bytes is not None:
            self.bytes = (self.bytes or 0) + entry.bytes
        if len(self.samples) < max_samples:
            self.samples.append(entry.sample())
        first = self.first
        same = {name: _same(getattr(first, name), getattr(entry, name), mixed) for name, mixed in _MIXED.items()}
        if any(same[name] != getattr(first, name) for name in same):
            self.first = replace(first, **same)

    def entry(self) -> Entry:
        details = {
            "from": self.first.at.isoformat(),
            "to": self.last.at.isoformat(),
            "samples": self.samples,
        }
        now = datetime.now(UTC)
        return replace(self.first, at=now, times=self.times, bytes=self.bytes, details=details)


#: What a merged row says where its requests differ.
_MIXED: Mapping[str, Any] = {
    "address": "(several)",
    "method": "(several)",
    "path": "(several)",
    "subject": None,
    "subject_type": None,
    "within": None,
    "action": None,
    "permission": None,
    "key_id": None,
    "user_id": None,
    "workspace": None,
}


def _same(one: Any, other: Any, mixed: Any) -> Any:
    return one if one == other else mixed
