"""Ranges of a file (RFC 9110, section 14)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hokusai import errors

_UNIT = re.compile(r"bytes=(.+)", re.ASCII | re.IGNORECASE)
_RANGE = re.compile(r"\s*(\d{0,19})-(\d{0,19})\s*", re.ASCII)

#: Ranges in one answer. A request for more gets the whole file: each range costs a disk access and a header.
MAX_RANGES = 16


@dataclass(frozen=True, slots=True)
class Span:
    """A range of a file, in bytes; never empty."""

    offset: int
    length: int

    def content_range(self, size: int) -> bytes:
        return f"bytes {self.offset}-{self.offset + self.length - 1}/{size}".encode()


def spans_of(value: str, size: int) -> Sequence[Span] | errors.RangeUnsatisfiable:
    """The ranges that a ``Range`` field requests of a file of ``size`` bytes, in the field's order.

    None of them means the whole file: the field is malformed, has another unit, or requests more than ``MAX_RANGES``
    or more bytes than the file has. A server may ignore all of these (section 14.2).
    """
    unit = _UNIT.fullmatch(value)
    requested = unit[1].split(",") if unit else []
    if not requested or len(requested) > MAX_RANGES:
        return ()
    ends = [_ends(one, size) for one in requested]
    if None in ends:
        return ()
    spans = [Span(first, min(last + 1, size) - first) for first, last in filter(None, ends) if first < size]
    if not spans:
        return errors.RangeUnsatisfiable(size=size)
    return spans if sum(span.length for span in spans) <= size else ()


def _ends(text: str, size: int) -> tuple[int, int] | None:
    """First and last position, either perhaps beyond the end of the file; None for a malformed range."""
    found = _RANGE.fullmatch(text)
    if not found or (not found[1] and not found[2]):
        return None
    if not found[1] and found[2].strip("0") and not size:
        return None
    if not found[1]:
        length = min(int(found[2]), size)
        return size - length, size - 1
    first = int(found[1])
    last = int(found[2]) if found[2] else max(first, size)
    return (first, last) if last >= first else None
