"""RFC 9110, sections 13 and 14."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hokusai import errors
from hokusai.artifacts.ranges import Span, names, span_of


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
    assert span_of(value, 10) == span


@pytest.mark.parametrize(
    "value",
    [
        "bytes=-",
        "bytes=5-3",
        "bytes=0-1,3-4",
        "lines=0-1",
        "bytes 0-1",
        "bytes=a-b",
        "bytes=0x1-2",
        "bytes=١-٢",
        "",
        "bytes=" + "9" * 30 + "-",
    ],
)
def test_what_may_be_ignored_is_the_whole_file(value: str) -> None:
    assert span_of(value, 10) is None


@pytest.mark.parametrize("value", ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=999999999999-"])
def test_outside_the_file(value: str) -> None:
    found = span_of(value, 10)
    assert isinstance(found, errors.RangeUnsatisfiable)
    assert (b"content-range", b"bytes */10") in found.headers()


def test_an_empty_file_has_no_part() -> None:
    assert span_of("bytes=-5", 0) is None
    assert isinstance(span_of("bytes=0-", 0), errors.RangeUnsatisfiable)


@given(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60))
def test_as_slices(size: int, first: int, last: int) -> None:
    data = bytes(range(size))
    for value, expected in (
        (f"bytes={first}-{last}", data[first : last + 1]),
        (f"bytes=-{last}", data[-last:] if last else b""),
    ):
        span = span_of(value, size)
        if isinstance(span, Span):
            assert data[span.offset : span.offset + span.length] == expected != b""
            assert span.content_range(size) == b"bytes %d-%d/%d" % (span.offset, span.offset + span.length - 1, size)


def test_entity_tag_lists() -> None:
    assert names("*", '"a"')
    assert names('"b", W/"a"', '"a"')
    assert not names('"b"', '"a"')
    assert not names("a", '"a"')
