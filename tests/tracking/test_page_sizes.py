"""Which sizes of a page are tried, and for how long a size that was too large is not tried again."""

from __future__ import annotations

import itertools

from hokusai.tracking.page_sizes import PageSizes
from tests.tracking.test_processor_use import Clock


def tried(sizes: PageSizes, wanted: int, fits: int, workspace: str = "acme", route: str = "/runs/search") -> list[int]:
    """The sizes until one fits."""
    found = []
    for size in sizes.of(workspace, route, wanted):
        found.append(size)
        if size <= fits:
            break
    return found


def test_smaller_ones_are_tried_until_one_fits() -> None:
    assert tried(PageSizes(), 25_000, fits=100_000) == [25_000]
    assert tried(PageSizes(), 25_000, fits=500) == [25_000, 1000, 100]
    assert tried(PageSizes(), 50, fits=0) == [50, 10, 1]


def test_what_was_too_large_is_not_tried_again_for_a_minute() -> None:
    sizes = PageSizes(clock := Clock())
    assert tried(sizes, 1000, fits=10) == [1000, 100, 10]
    assert tried(sizes, 1000, fits=10) == [10]
    assert tried(sizes, 5, fits=10) == [5]
    assert tried(sizes, 1000, fits=10, workspace="other") == [1000, 100, 10]
    assert tried(sizes, 1000, fits=1000, route="/experiments/search") == [1000]
    clock.now = 61
    assert tried(sizes, 1000, fits=10) == [1000, 100, 10]


def test_it_remembers_a_bounded_number() -> None:
    sizes = PageSizes()
    for number in range(10_100):
        list(itertools.islice(sizes.of(f"team-{number}", "/runs/search", 1000), 2))
    assert len(sizes._fit) == 10_000
