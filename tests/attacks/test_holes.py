"""The texts that ``make holes`` removes still occur in the source: a check that cannot be removed proves nothing."""

from __future__ import annotations

import pytest

from tests.attacks.holes import HOLES, SOURCE, Hole


@pytest.mark.parametrize("hole", HOLES, ids=[hole.why for hole in HOLES])
def test_a_hole_can_be_planted_and_somebody_looks_for_it(hole: Hole) -> None:
    for edit in hole.edits:
        assert (SOURCE / "hokusai" / edit.file).read_text().count(edit.old) == 1, edit
    assert hole.cases
