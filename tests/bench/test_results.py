"""Figures are stored and read back unchanged, and are printed in a readable form."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import page, results
from bench.results import Figure, Ratio, Result, ratio

FIGURES = (
    Figure("reads", "hokusai", "per s", (20.0, 30.0, 25.0)),
    Figure("reads", "mlflow server", "per s", (10.0, 10.0, 5.0)),
)


@pytest.fixture
def result() -> Result:
    return Result("read", "Reads", 3, FIGURES, (ratio(FIGURES, "reads", "hokusai", "mlflow server", aim="≥ 1"),))


def test_a_ratio_is_taken_round_by_round(result: Result) -> None:
    assert result.ratios[0].values == (2, 3, 5)
    assert result.ratios[0].median == 3


@pytest.mark.parametrize(
    ("aim", "met"),
    [("≥ 3", True), ("≥ 3.1", False), ("≤ 3", True), ("≤ 2.9", False), ("", None), ("3–4", True), ("1–2.9", False)],
)
def test_an_aim_is_met_or_missed(aim: str, met: bool | None) -> None:
    assert Ratio("reads", "mlflow server", (2, 3, 5), aim).met is met


def test_kept_results_replace_only_their_own(result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "LATEST", tmp_path / "results" / "latest.json")
    other = Result("rest", "At rest", 3, (), ())
    results.save([result, other])
    again = Result("read", "Reads", 5, (), ())
    results.save([again])
    assert results.latest() == {"read": again, "rest": other}


def test_the_page_keeps_what_people_wrote(result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = tmp_path / "benchmarks.md"
    written.write_text(f"above\n{page.START}\nold\n{page.END}\nbelow\n")
    monkeypatch.setattr(page, "PAGE", written)
    page.write({"read": result})
    text = written.read_text()
    assert text.startswith("above\n")
    assert text.endswith("\nbelow\n")
    assert "old" not in text
    assert "| reads | mlflow server | **3×** | 2–5 | ≥ 1: met |" in text
    assert "| reads, per s | 25 (20–30) | 10 (5–10) |" in text
    page.write({"read": result})
    assert written.read_text() == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.123456, "0.123"), (1.5, "1.5"), (42.26, "42.3"), (164.4, "164"), (2971.2, "2,971"), (-1.5, "-1.5")],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert page.number(value) == text
