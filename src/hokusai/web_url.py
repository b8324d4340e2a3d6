"""Which URLs can be called: one rule for every URL that a setting, an option or an argument names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

#: The reason for refusing any other URL.
NOT_A_WEB_URL = "it is not an http:// or https:// URL with a host"

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[\w.:-]+")


@dataclass(frozen=True, slots=True)
class WebUrl:
    """A URL of HTTP. ``host`` is in lower case; ``port`` is the scheme's own where none is named."""

    host: str
    port: int
    parts: SplitResult

    @classmethod
    def parse(cls, text: str) -> WebUrl | None:
        """None for anything else, and for a host or port that nothing can have."""
        if not text.isprintable() or " " in text:
            return None
        try:
            parts = urlsplit(text)
            host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
            host.encode("idna")
        except (KeyError, ValueError):  # UnicodeError is one
            return None
        return cls(host, port, parts) if _HOST.fullmatch(host) else None
