"""Ranges and conditions of downloads (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import pytest

from hokusai import errors
from hokusai.artifacts.http.conditions import Condition
from hokusai.artifacts.http.ranges import MAX_RANGES, Span, spans_of
from tests.properties import given, st


@pytest.mark.parametrize(
    ("value", "span"),
    [
        ("bytes=0-0", Span(0, 1)),
        ("bytes=0-99", Span(0, 10)),
        ("bytes=3-5", Span(3, 3)),
        ("bytes=9-", Span(9, 1)),
        ("bytes=-3", Span(7, 3)),
        ("bytes=-30", Span(0, 10)),
        ("Bytes=1-2", Span(1, 2)),
        ("bytes= 1-2 ", Span(1, 2)),
    ],
)
def test_one_range(value: str, span: Span) -> None:
    assert list(spans_of(value, 10)) == [span]


def test_several_ranges_in_their_order() -> None:
    assert list(spans_of("bytes=7-,0-1, -1", 10)) == [Span(7, 3), Span(0, 2), Span(9, 1)]
    assert list(spans_of("bytes=0-1,20-30", 10)) == [Span(0, 2)], "what lies outside is left out"


@pytest.mark.parametrize(
    "value",
    [
        "bytes=-",
        "bytes=5-3",
        "bytes=0-1,x",
        "bytes=0-1,,3-4",
        "lines=0-1",
        "bytes 0-1",
        "bytes=a-b",
        "bytes=0x1-2",
        "bytes=١-٢",
        "",
        "bytes=" + "9" * 30 + "-",
        "bytes=0-,0-,0-",  # more than there is
        "bytes=" + ",".join(["0-0"] * (MAX_RANGES + 1)),
    ],
)
def test_what_may_be_ignored_is_the_whole_file(value: str) -> None:
    assert list(spans_of(value, 10)) == []


@pytest.mark.parametrize("value", ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=999999999999-", "bytes=10-,-0"])
def test_outside_the_file(value: str) -> None:
    found = spans_of(value, 10)
    assert isinstance(found, errors.RangeUnsatisfiable)
    assert (b"content-range", b"bytes */10") in found.headers()


def test_an_empty_file_has_no_part() -> None:
    assert spans_of("bytes=-5", 0) == ()
    assert isinstance(spans_of("bytes=0-", 0), errors.RangeUnsatisfiable)


@given(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60))
def test_as_slices(size: int, first: int, last: int) -> None:
    data = bytes(range(size))
    for value, expected in (
        (f"bytes={first}-{last}", data[first : last + 1]),
        (f"bytes=-{last}", data[-last:] if last else b""),
    ):
        spans = spans_of(value, size)
        for span in () if isinstance(spans, errors.RangeUnsatisfiable) else spans:
            assert data[span.offset : span.offset + span.length] == expected != b""
            assert span.content_range(size) == b"bytes %d-%d/%d" % (span.offset, span.offset + span.length - 1, size)


def test_entity_tag_lists() -> None:
    tag, other = "a" * 64, "b" * 64
    assert Condition(none_match="*").unchanged(tag)
    assert Condition(none_match=f'"{other}", W/"{tag}"').unchanged(tag)
    assert not Condition(none_match=f'"{other}"').unchanged(tag)
    assert not Condition(none_match=tag).unchanged(tag)
    assert Condition(match=f'W/"{tag}"').match_fails(exists=True, sha256=tag), (
        "a weak tag is no promise of the same bytes"
    )
    assert not Condition(match=f'"{other}", "{tag}"').match_fails(exists=True, sha256=tag)
    assert Condition(match="*").match_fails(exists=False, sha256=None)
    assert not Condition(match="*").match_fails(exists=True, sha256=None)
