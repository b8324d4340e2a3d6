"""The figure that says how well two groups of times can be distinguished."""

from __future__ import annotations

import random

import pytest

from bench.keys import auc


@pytest.mark.parametrize(
    ("first", "second", "area"),
    [
        ([1, 2], [3, 4], 1),
        ([3, 4], [1, 2], 0),
        ([1, 2], [1, 2], 0.5),
        ([1, 1], [1, 1], 0.5),
        ([1, 3], [2], 0.5),
        ([1, 2, 5], [3, 4], 2 / 3),
    ],
)
def test_the_area_is_the_share_of_pairs_in_order(first: list[float], second: list[float], area: float) -> None:
    assert auc(first, second) == pytest.approx(area)


def test_one_group_cannot_be_told_from_itself_and_a_shifted_one_can() -> None:
    some = random.Random(7)
    one, other = (sorted(some.gauss(25, 1) for _ in range(2000)) for _ in range(2))
    assert 0.47 < auc(one, other) < 0.53
    assert auc(one, [value + 1 for value in other]) > 0.7
