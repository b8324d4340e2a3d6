"""Floods become two rows a minute for each place that they come from."""

from __future__ import annotations

import json

import pytest

from hokusai.audit.entry import Entry, bounded
from hokusai.audit.merging import Merging
from hokusai.audit.table import MAX_DETAILS, MAX_PATH, MAX_SUBJECT
from tests.audit.entries import entry
from tests.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


def test_the_first_is_written_at_once_and_the_rest_at_the_end_of_the_minute(clock: Clock) -> None:
    merging = Merging(size=10, clock=clock)
    assert merging.wait() is None
    assert merging.add("a", first := entry(1)) is first
    clock.now += 20
    assert merging.add("b", other := entry(2)) is other
    assert merging.add("a", entry(3)) is None
    assert merging.add("a", entry(4, bytes=7)) is None
    assert merging.wait() == 40
    clock.now += 39
    assert merging.due() == []
    clock.now += 1
    (merged,) = merging.due()
    assert (merged.times, merged.bytes, merged.request_id) == (2, 7, "3")
    assert merged.details["from"] <= merged.details["to"] <= merged.at.isoformat()
    assert merging.add("a", again := entry(5)) is again
    clock.now += 20
    assert merging.due() == []  # one alone needs no second row
    assert merging.wait() == 40


def test_a_minute_without_more_leaves_nothing_behind(clock: Clock) -> None:
    merging = Merging(size=10, clock=clock)
    merging.add("a", entry(1))
    clock.now += 60
    assert merging.due() == []
    assert merging.wait() is None


def test_what_differs_is_not_said_of_all(clock: Clock) -> None:
    merging = Merging(size=10, clock=clock)
    merging.add("a", entry(1))
    for number, subject in enumerate(("x", "x", "y")):
        merging.add("a", entry(number, subject=subject, subject_type="run", path="/same"))
    (merged,) = merging.drain()
    assert (merged.subject, merged.subject_type, merged.path) == (None, "run", "/same")
    assert [one["subject"] for one in merged.details["samples"]] == ["x", "x", "y"]


def test_places_are_bounded(clock: Clock) -> None:
    merging = Merging(size=3, clock=clock)
    written = [merging.add(number, entry(number)) for number in range(100)]
    assert sum(one is not None for one in written) == 4
    (merged,) = merging.drain()
    assert merged.times == 96
    assert merging.drain() == []


@pytest.mark.parametrize("hostile", ["a\nb", "a\r\nb", "\x1b[2J", "a\x00b", "a\u2028b", "a\u202eb", "\ud800"])
def test_no_text_can_forge_a_line(hostile: str) -> None:
    made: Entry = entry(1, path=hostile, subject=hostile, within=hostile, details={"agent": "x"})
    for text in (made.row()["path"], made.row()["subject"], made.row()["within"], made.sample()["path"]):
        assert text.isprintable()
        text.encode()
    line = json.dumps(made.document())
    assert len(line.splitlines()) == 1
    assert line.isascii()


def test_every_text_is_bounded() -> None:
    long = "x\n" * 100_000
    row = entry(1, path=long, subject=long, within=long, details={"a": long, "b": "short"}).row()
    assert len(row["path"]) <= MAX_PATH
    assert len(row["subject"]) == len(row["within"]) == MAX_SUBJECT
    assert len(row["details"]) <= MAX_DETAILS
    assert json.loads(row["details"]) == {"b": "short"}


def test_two_long_subjects_are_told_apart() -> None:
    one, other = "a" * 5000, "a" * 4999 + "b"
    assert bounded(one) != bounded(other)
    assert bounded(one) == bounded(one)
    assert bounded("a" * MAX_SUBJECT) == "a" * MAX_SUBJECT
