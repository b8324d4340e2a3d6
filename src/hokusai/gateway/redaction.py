"""API keys in paths: recognised in any spelling, and kept out of logs and errors."""

from __future__ import annotations

from urllib.parse import unquote

from hokusai import apikey

_SPELLINGS = 5  # how often a text may have been percent-encoded


def holds_key(text: str) -> bool:
    """Whether ``text`` contains an API key, plain or percent-encoded, once or several times."""
    for _ in range(_SPELLINGS):
        if apikey.TRACE.search(text):
            return True
        if "%" not in text:
            return False
        text = unquote(text)
    return bool(apikey.TRACE.search(text))


def shown(path: str, *, limit: int) -> str:
    """``path`` for a log or an error, at most ``limit`` characters; none of it where it contains a key."""
    return "(a key stood here)" if holds_key(path) else path[:limit]
