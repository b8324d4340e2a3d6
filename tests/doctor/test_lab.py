"""The quick rows of the failure lab; ``make lab`` runs them all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hokusai.doctor import FAULTS
from lab.rows import Bench, Row
from lab.run import ROWS, examine
from tests.doctor.test_rules import CATALOGUE


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    found = Bench()
    try:
        yield found
    finally:
        found.close()


@pytest.mark.xdist_group("lab")
@pytest.mark.parametrize("row", [pytest.param(row, id=f"{row.fault}: {row.title}") for row in ROWS if row.fast])
def test_the_planted_fault_is_named_first(row: Row, bench: Bench) -> None:
    found = examine(row, bench)
    if found.missing:
        pytest.skip(found.missing)
    assert found.right, (found.named, [one for one in (found.document or {})["checks"] if one["status"] == "fail"])


def test_the_lab_has_a_row_for_every_fault_of_the_catalogue() -> None:
    planted = {row.fault for row in ROWS} - {""}
    assert set(CATALOGUE) <= planted
    assert planted <= set(FAULTS)


def test_there_are_healthy_rows_of_every_kind() -> None:
    assert len([row for row in ROWS if not row.fault]) >= 5
