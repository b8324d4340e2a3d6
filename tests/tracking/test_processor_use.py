"""A workspace that uses more of the processors than the others comes after them."""

from __future__ import annotations

from hokusai.tracking.processes.processor_use import ProcessorUse
from tests.clock import Clock


def test_who_uses_more_than_the_others_is_above_average() -> None:
    use = ProcessorUse(Clock())
    use.add("flooding", 8)
    use.add("working", 1.5)
    assert use.is_above_average("flooding")
    assert not use.is_above_average("working")
    assert not use.is_above_average("new")


def test_several_that_flood_are_above_those_that_work() -> None:
    use = ProcessorUse(Clock())
    for workspace in ("one", "two", "three"):
        use.add(workspace, 8)
    use.add("working", 1)
    use.add("reading", 0.1)
    assert all(use.is_above_average(workspace) for workspace in ("one", "two", "three"))
    assert not use.is_above_average("working")


def test_alone_or_among_equals_nobody_is() -> None:
    use = ProcessorUse(Clock())
    use.add("one", 8)
    assert not use.is_above_average("one")
    use.add("two", 8)
    assert not use.is_above_average("one")


def test_little_is_never_too_much_and_what_was_is_forgotten() -> None:
    use = ProcessorUse(clock := Clock())
    use.add("a", 0.9)
    use.add("b", 0.1)
    assert not use.is_above_average("a")
    use.add("a", 20)
    assert use.is_above_average("a")
    clock.now = 60
    use.add("b", 0.1)
    assert not use.is_above_average("a")
    clock.now = 1000
    use.add("b", 0.1)
    assert list(use._used) == ["b"]
