"""The quick rows of the failure lab; ``make lab`` runs them all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hokusai.doctor import FAULTS
from lab import report
from lab.catalogue import CATALOGUE, IDS
from lab.rows import Bench, Row
from lab.run import ROWS, examine


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    found = Bench()
    try:
        yield found
    finally:
        found.close()


@pytest.mark.proxies
@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ROWS if row.fast])
def test_the_planted_fault_is_named_first(row: Row, bench: Bench) -> None:
    found = examine(row, bench)
    if found.not_built:
        pytest.skip(found.not_built)
    assert found.correct, (found.lab_error, found.named, found.failed)


def test_the_lab_has_a_row_for_every_fault_of_the_catalogue() -> None:
    planted = {row.fault for row in ROWS} - {""}
    assert set(IDS) <= planted <= set(FAULTS)
    assert len(CATALOGUE) == 42


def test_there_are_healthy_rows_of_every_kind() -> None:
    assert len([row for row in ROWS if not row.fault]) >= 5


def test_no_two_rows_have_one_name() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_the_page_shows_the_measurement_of_every_row() -> None:
    kept = report.load()
    assert set(kept) == {row.name for row in ROWS}, "run: make lab ARGS=--write"
    assert report.PAGE.read_text() == report.page(kept)


def test_what_was_measured_is_good_enough() -> None:
    kept = report.load()
    score = report.score((row, kept[row.name]) for row in ROWS)
    assert score.good, score
    assert not [name for name, one in kept.items() if one.not_built]
