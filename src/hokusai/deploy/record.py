"""The record of a release: what was done, when, with which image, and its proof. As JSON and as Markdown."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from hokusai import errors
from hokusai.deploy.step import Done

Outcome = Literal["in progress", "released", "rolled back", "stopped"]
_MARKS = {"done": "✅", "already": "✅", "failed": "❌", "undone": "↩️", "stuck": "❌"}


@dataclass(slots=True)
class Record:
    """One release of one environment. ``before`` is what ran before, by role: the revision, and the number of tasks."""

    environment: str
    release: str
    version: str
    commit: str
    region: str
    account: str
    began: str
    outcome: Outcome = "in progress"
    ended: str | None = None
    image: str | None = None
    before: dict[str, tuple[str, int]] = field(default_factory=dict)
    services: dict[str, str] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    error: dict[str, str] | None = None
    proof: dict[str, Any] | None = None
    report: str = ""

    def take(self, ended: list[Done]) -> None:
        self.steps = [{**asdict(one), "seconds": round(one.seconds, 3)} for one in ended]

    def finish(self, outcome: Outcome, error: errors.HokusaiError | None) -> None:
        self.outcome, self.ended = outcome, instant()
        if error is not None:
            self.error = {"code": error.code, "message": str(error), "remedy": error.advice}

    def document(self) -> dict[str, Any]:
        found = asdict(self)
        del found["report"]
        return found

    def markdown(self) -> str:
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield f"# Release {self.release} to {self.environment}\n"
        yield f"**Result**: {self.outcome}  "
        yield f"**Time**: {self.began} to {self.ended or 'now'}  "
        yield f"**Commit**: {self.commit}  "
        yield f"**Image**: {self.image or 'none'}  "
        yield f"**Account**: {self.account}, {self.region}\n"
        yield "| step | result | seconds | what |\n|---|---|---|---|"
        for one in self.steps:
            result = f"{_MARKS[one['state']]} {one['state']}"
            yield f"| {one['title']} | {result} | {one['seconds']:.1f} | {_cell(one['words'])} |"
        if self.error:
            yield f"\n**{self.error['code']}** {self.error['message']}\n\nWhat to do: {self.error['remedy']}"
        if self.report:
            yield "\n" + self.report


class Records:
    """A directory of records, with a subdirectory for each environment."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, record: Record) -> Path:
        """The JSON file. The Markdown file is next to it."""
        return self.path / record.environment / f"{record.release}.json"

    def write(self, record: Record) -> Path:
        """Raises ``errors.PathUnusable``."""
        file = self.file(record)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            for place, text in (
                (file, json.dumps(record.document(), indent=2)),
                (file.with_suffix(".md"), record.markdown()),
            ):
                new = place.with_name(place.name + ".new")
                new.write_text(text, "utf-8")
                os.replace(new, place)  # noqa: PTH105
        except OSError as error:
            raise errors.PathUnusable(path=file, reason=errors.reason_of(error)) from None
        return file

    def unfinished(self, record: Record) -> dict[str, tuple[str, int]]:
        """What ran before this release, if an earlier run of the same release was killed in the middle."""
        try:
            found = json.loads(self.file(record).read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        if found.get("outcome") != "in progress":
            return {}
        return {role: (str(one[0]), int(one[1])) for role, one in found.get("before", {}).items()}


def instant() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
