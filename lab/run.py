"""Runs the doctor, as anyone would, at each planted fault, and records what it named."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import behind, bucket, front, healthy
from lab.parts import CannotBuild
from lab.rows import ROWS, Bench, Deployment, Row
from tests import forked
from tests.serving import run_hokusai

__all__ = ["ROWS", "Found", "Row", "behind", "bucket", "examine", "front", "healthy"]

_MAX_SECONDS = 170


@dataclass(frozen=True)
class Found:
    """What the doctor named for one row; ``not_built`` says why this machine cannot build it.

    ``lab_error`` is what went wrong with the lab itself: then nothing is known, and the lab has failed.
    """

    row: Row
    named: tuple[str, ...] = ()
    document: dict[str, Any] | None = None
    code: int = 0
    seconds: float = 0.0
    not_built: str = ""
    lab_error: str = ""

    @property
    def rank(self) -> int:
        """The position of the planted fault among the named ones, from 1; 0 if it is not named."""
        return self.named.index(self.row.fault) + 1 if self.row.fault in self.named else 0

    @property
    def failed(self) -> list[dict[str, Any]]:
        return [one for one in (self.document or {}).get("checks", ()) if one["status"] == "fail"]

    @property
    def correct(self) -> bool:
        return self.rank == 1 if self.row.fault else not self.named and self.code == 0


def examine(row: Row, bench: Bench) -> Found:
    """Build the row's deployment, run ``hokusai doctor`` at it in another process, and take it down."""
    try:
        with row.build(bench) as deployment:
            return _found(row, deployment, bench.directory())
    except CannotBuild as error:
        return Found(row, not_built=str(error))
    except (AssertionError, OSError, RuntimeError, subprocess.SubprocessError) as error:
        return Found(row, lab_error=f"{type(error).__name__}: {str(error).strip()[-300:]}")


def _found(row: Row, deployment: Deployment, directory: Path) -> Found:
    arguments: Sequence[str] = deployment.arguments
    if deployment.log is not None:
        (directory / "log").write_text(deployment.log)
        arguments = (*arguments, "--log", str(directory / "log"))
    started = time.monotonic()
    if "--python" not in arguments:
        arguments = (*arguments, "--python", forked.python())
    ended = run_hokusai("doctor", deployment.url, "--json", *arguments, timeout=_MAX_SECONDS, **deployment.variables)
    seconds = time.monotonic() - started
    for secret in deployment.variables.values():
        assert not secret.startswith("hk_") or secret not in ended.stdout + ended.stderr, "the doctor printed a key"
    try:
        document = json.loads(ended.stdout)
    except ValueError:
        raise AssertionError(f"{row.title}: {ended.stderr[-3000:]}") from None
    named = tuple(one["fault"] for one in document["diagnosis"])
    return Found(row, named, document, ended.returncode, seconds)
