"""Writes the figures into ``docs/benchmarks.md``, between two markers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.results import Figure, Ratio, Result

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
START, END = "<!-- figures: written by make bench -->", "<!-- end of figures -->"


def write(results: Mapping[str, Result]) -> None:
    """Put the tables of all results between the markers. The text around them is written by hand."""
    before, _, rest = PAGE.read_text().partition(START)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{START}\n\n" + "\n".join(map(section, results.values())) + f"\n{END}{after}")


def section(result: Result) -> str:
    parts = [
        f"### `{result.id}`: {result.title.lower()}\n",
        *(note + "\n" for note in result.notes),
        *_ratios(result.ratios),
        "",
        *_figures(result.figures),
        "",
        f"`{result.command}`, {result.rounds} rounds, {result.measured}, {result.machine}; other programs kept "
        f"{_range(result.noise, 2)} cores busy meanwhile.\n",
    ]
    return "\n".join(parts)


def _ratios(ratios: Iterable[Ratio]) -> Iterable[str]:
    yield "| what | hokusai against | median | lowest–highest | aim |\n| --- | --- | --- | --- | --- |"
    for one in ratios:
        verdict = {True: f"{one.aim}: met", False: f"{one.aim}: **missed**", None: ""}[one.met]
        unit = f" {one.unit}".rstrip() if one.unit != "×" else one.unit
        yield f"| {one.what} | {one.against} | **{number(one.median)}{unit}** | {_range(one.values)} | {verdict} |"


def _figures(figures: Iterable[Figure]) -> Iterable[str]:
    rows: dict[tuple[str, str], dict[str, Figure]] = {}
    for figure in figures:
        rows.setdefault((figure.what, figure.unit), {})[figure.peer] = figure
    names = list(dict.fromkeys(figure.peer for figure in figures))
    yield f"| what | {' | '.join(names)} |\n|{' --- |' * (len(names) + 1)}"
    for (what, unit), found in rows.items():
        cells = (
            f"{number(found[name].median)} ({_range(found[name].values)})" if name in found else "–" for name in names
        )
        yield f"| {f'{what}, {unit}'.rstrip(', ')} | {' | '.join(cells)} |"


def _range(values: Iterable[float], digits: int = 3) -> str:
    found = sorted(values)
    low, high = (number(value, digits) for value in (found[0], found[-1])) if found else ("?", "?")
    return low if low == high else f"{low}–{high}"


def number(value: float, digits: int = 3) -> str:
    """As people write it: three digits that count, thousands apart."""
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    text = f"{value:.{digits}g}"
    return f"{float(text):.10f}".rstrip("0").rstrip(".") if "e" in text else text
