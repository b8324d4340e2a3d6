"""API keys in paths: recognised in any spelling, and kept out of logs and errors."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from hokusai import apikey

_TRACE = re.compile(apikey.TRACE.pattern.encode("ascii"))
_SPELLINGS = 5  # how often a text may have been percent-encoded


def holds_key(text: str) -> bool:
    """Whether ``text`` contains an API key, plain or percent-encoded, once or several times."""
    raw = text.encode("utf-8", "surrogatepass")
    for _ in range(_SPELLINGS):
        if _TRACE.search(raw):
            return True
        if b"%" not in raw or (again := unquote_to_bytes(raw)) == raw:
            return False
        raw = again
    return bool(_TRACE.search(raw))


def shown(path: str, *, limit: int) -> str:
    """``path`` for a log or an error, at most ``limit`` characters; none of it where it contains a key."""
    cut = path[:limit]
    return "(a key stood here)" if holds_key(cut) else cut
