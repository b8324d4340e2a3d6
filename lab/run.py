"""The doctor, as anybody runs it, at each planted fault; and what it named."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import behind, bucket, front, healthy
from lab.parts import NotHere
from lab.rows import ROWS, Bench, Row, Seen
from tests import forked
from tests.serving import run_hokusai

__all__ = ["ROWS", "Found", "Row", "behind", "bucket", "examine", "front", "healthy"]

_SECONDS = 170


@dataclass(frozen=True)
class Found:
    """What the doctor said of one row; ``missing`` is why this machine cannot build it.

    ``broke`` is what went wrong with the lab itself: then nothing is known, and the lab has not succeeded.
    """

    row: Row
    named: tuple[str, ...] = ()
    document: dict[str, Any] | None = None
    code: int = 0
    seconds: float = 0.0
    missing: str = ""
    broke: str = ""

    @property
    def place(self) -> int:
        """Where the planted fault stands among the named ones, from 1; 0: not at all."""
        return self.named.index(self.row.fault) + 1 if self.row.fault in self.named else 0

    @property
    def failed(self) -> list[dict[str, Any]]:
        return [one for one in (self.document or {}).get("checks", ()) if one["status"] == "fail"]

    @property
    def right(self) -> bool:
        return self.place == 1 if self.row.fault else not self.named and self.code == 0


def examine(row: Row, bench: Bench) -> Found:
    """Build the row, run ``hokusai doctor`` at it from another process, take it down."""
    try:
        with row.build(bench) as seen:
            return _found(row, seen, bench.place())
    except NotHere as error:
        return Found(row, missing=str(error))
    except (AssertionError, OSError, RuntimeError, subprocess.SubprocessError) as error:
        return Found(row, broke=f"{type(error).__name__}: {str(error).strip()[-300:]}")


def _found(row: Row, seen: Seen, place: Path) -> Found:
    arguments: Sequence[str] = seen.arguments
    if seen.log is not None:
        (place / "log").write_text(seen.log)
        arguments = (*arguments, "--log", str(place / "log"))
    started = time.monotonic()
    if "--python" not in arguments:
        arguments = (*arguments, "--python", forked.python())
    ended = run_hokusai("doctor", seen.url, "--json", *arguments, timeout=_SECONDS, **seen.variables)
    seconds = time.monotonic() - started
    for secret in seen.variables.values():
        assert not secret.startswith("hk_") or secret not in ended.stdout + ended.stderr, "the doctor printed a key"
    try:
        document = json.loads(ended.stdout)
    except ValueError:
        raise AssertionError(f"{row.title}: {ended.stderr[-3000:]}") from None
    named = tuple(one["fault"] for one in document["diagnosis"])
    return Found(row, named, document, ended.returncode, seconds)
