"""Measurements as values, stored in ``results/latest.json``."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LATEST = Path(__file__).parent / "results" / "latest.json"


@dataclass(frozen=True)
class Figure:
    """One quantity of one peer, a value per round."""

    what: str
    peer: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)


@dataclass(frozen=True)
class Ratio:
    """Hokusai against a peer, or against a bound; a value per round.

    ``aim`` is what is wanted: ``≥ 10``, ``≤ 0.5``, ``0.45–0.55``.
    """

    what: str
    against: str
    values: tuple[float, ...]
    aim: str = ""
    unit: str = "×"

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        if not self.aim:
            return None
        if "–" in self.aim:
            low, high = map(float, self.aim.split("–"))
            return low <= self.median <= high
        sign, bound = self.aim.split(" ", 1)
        return self.median >= float(bound) if sign == "≥" else self.median <= float(bound)


@dataclass(frozen=True)
class Result:
    """One benchmark's run. ``noise`` is how many cores other programs kept busy while each turn ran."""

    id: str
    title: str
    rounds: int
    figures: tuple[Figure, ...]
    ratios: tuple[Ratio, ...]
    notes: tuple[str, ...] = ()
    noise: tuple[float, ...] = ()
    measured: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    machine: str = field(
        default_factory=lambda: f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    )

    @property
    def command(self) -> str:
        return f'make bench ARGS="{self.id} --rounds {self.rounds}"'


def ratio(figures: Iterable[Figure], what: str, peer: str, against: str, *, aim: str = "") -> Ratio:
    """Round by round, ``peer``'s value over that of ``against``."""
    found = {figure.peer: figure.values for figure in figures if figure.what == what}
    pairs = zip(found[peer], found[against], strict=True)
    return Ratio(what, against, tuple(ours / theirs for ours, theirs in pairs), aim)


def save(results: Sequence[Result]) -> None:
    """Put these in the place of the earlier ones with the same ids."""
    document = _document() | {one.id: asdict(one) for one in results}
    LATEST.parent.mkdir(exist_ok=True)
    LATEST.write_text(json.dumps(_rounded(document), indent=1, ensure_ascii=False) + "\n")


def latest() -> dict[str, Result]:
    return {name: _read(one) for name, one in _document().items()}


def _document() -> dict[str, Any]:
    return dict(json.loads(LATEST.read_text())) if LATEST.exists() else {}


def _read(found: dict[str, Any]) -> Result:
    figures = tuple(Figure(**one | {"values": tuple(one["values"])}) for one in found["figures"])
    ratios = tuple(Ratio(**one | {"values": tuple(one["values"])}) for one in found["ratios"])
    lists = {"figures": figures, "ratios": ratios, "notes": tuple(found["notes"]), "noise": tuple(found["noise"])}
    return Result(**found | lists)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value
