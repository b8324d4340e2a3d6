"""Text that may stand in a report: without keys, on one line."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hokusai import apikey

_CREDENTIALS = re.compile(r"(?i)\b(bearer|basic)\s+[0-9a-z+/=._~-]{16,}")
#: A key that was cut short is recognised by this many of its first characters.
_RECOGNISED = 8


def redacted(text: str, keys: Iterable[str] = ()) -> str:
    """The text without anything that could be a key, and without ``keys``, whatever their form, even cut short."""
    for key in keys:
        text = re.sub(re.escape(key[:_RECOGNISED]) + r"[^\s\"',;<>]*", "…", text)
    return apikey.TRACE.sub(r"hk_\1_…", _CREDENTIALS.sub(r"\1 …", text))


def sanitized(text: str, keys: Iterable[str] = ()) -> str:
    """The text on one line, redacted, without control characters: safe for a terminal and valid in XML."""
    line = redacted(" ".join(text.split()), keys)
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in line)
