"""Conditions and ranges of a download (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hokusai import errors

_RANGE = re.compile(r"bytes=\s*(\d{0,19})-(\d{0,19})\s*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Span:
    """Part of a file, in bytes; never empty."""

    offset: int
    length: int

    def content_range(self, size: int) -> bytes:
        return f"bytes {self.offset}-{self.offset + self.length - 1}/{size}".encode()


def span_of(value: str, size: int) -> Span | errors.RangeUnsatisfiable | None:
    """The one range that a ``Range`` field asks of a file of ``size`` bytes.

    None stands for the whole file: the field is malformed, has another unit, or asks for several
    ranges at once, all of which a server may ignore (section 14.2).
    """
    found = _RANGE.fullmatch(value)
    if not found or (not found[1] and not found[2]):
        return None
    if not found[1]:
        return _last(int(found[2]), size)
    first = int(found[1])
    last = int(found[2]) if found[2] else size
    if last < first and found[2]:
        return None
    if first >= size:
        return errors.RangeUnsatisfiable(size=size)
    return Span(first, min(last + 1, size) - first)


def _last(length: int, size: int) -> Span | errors.RangeUnsatisfiable | None:
    if not length:
        return errors.RangeUnsatisfiable(size=size)
    return Span(max(size - length, 0), min(length, size)) if size else None


def names(value: str, etag: str) -> bool:
    """Whether an ``If-None-Match`` list names the entity tag (weak comparison, section 8.8.3.2)."""
    return value.strip() == "*" or etag in (one.strip().removeprefix("W/") for one in value.split(","))
