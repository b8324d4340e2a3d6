"""Text that people read: the one definition of which characters a name may not have."""

from __future__ import annotations

import re

#: Control characters (Unicode category Cc), line and paragraph separators (Zl, Zp), lone surrogates (Cs), and the
#: characters that reorder what is shown (UAX 9): explicit formatting and the three directional marks.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def is_unprintable(text: str) -> bool:
    """Whether ``text`` would show as another text, or break the line of a log or a terminal that it is shown in."""
    return _UNPRINTABLE.search(text) is not None


def escaped(text: str, limit: int) -> str:
    """The first ``limit`` characters of ``text``, with every unprintable one escaped: at most ``limit`` in all."""
    cut = text[:limit]
    if not is_unprintable(cut):
        return cut
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), cut)[:limit]
