"""Keys where they should not be: recognised in any spelling, and written nowhere."""

from __future__ import annotations

from urllib.parse import unquote

from hokusai import apikey

_SPELLINGS = 5  # how often a text may have been percent-encoded


def holds_key(text: str) -> bool:
    """Whether an API key stands in ``text``, plain or percent-encoded, once or several times."""
    for _ in range(_SPELLINGS):
        if apikey.TRACE.search(text):
            return True
        if "%" not in text:
            return False
        text = unquote(text)
    return bool(apikey.TRACE.search(text))


def shown(path: str, *, limit: int) -> str:
    """``path`` for a log or an error, ``limit`` characters at most; nothing of it where it holds a key."""
    return "(a key stood here)" if holds_key(path) else path[:limit]
