"""Text that people read: the one definition of which characters a name may not have, and of names that look alike.

``is_unprintable`` is for every text that is shown. A name that identifies something is also checked with
``name_fault``: two names that differ in what nobody sees are taken for each other.
"""

from __future__ import annotations

import re
import unicodedata

#: Control characters (Unicode category Cc), line and paragraph separators (Zl, Zp), lone surrogates (Cs), and the
#: characters that reorder what is shown (UAX 9): explicit formatting and the three directional marks.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

#: What writing needs to join or part letters, and to choose between forms of a character (Persian, Indic scripts,
#: Mongolian, emoji, flags); and the soft hyphen. It is not seen by itself.
_JOINERS = "\xad\u034f\u180b-\u180f\u200c\u200d\ufe00-\ufe0f\U000e0020-\U000e007f\U000e0100-\U000e01ef"
#: Everything else that leaves no mark: the rest of what Unicode lets a font ignore (Default_Ignorable_Code_Point), the
#: other format characters (Cf) but those that are drawn, and letters and symbols that are blank (Hangul fillers, the
#: empty Braille pattern).
_BLANKS = (
    "\u061c\u115f\u1160\u17b4\u17b5\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a"
    "\U000e0000-\U000e001f\U000e0080-\U000e00ff\U000e01f0-\U000e0fff"
)
_BLANK = re.compile(f"[{_BLANKS}]")
_INVISIBLE = re.compile(f"[{_BLANKS}{_JOINERS}]")
_SPACES = re.compile(r"\s+")


def is_unprintable(text: str) -> bool:
    """Whether ``text`` would show as another text, or break the line of a log or a terminal that it is shown in."""
    return _UNPRINTABLE.search(text) is not None


def escaped(text: str, limit: int) -> str:
    """The first ``limit`` characters of ``text``, with every unprintable one escaped: at most ``limit`` in all."""
    cut = text[:limit]
    if not is_unprintable(cut):
        return cut
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), cut)[:limit]


def invisible(text: str, *, joiners: bool = False) -> str | None:
    """The first character that nobody sees, in words; with ``joiners``, those that writing needs do not count."""
    found = (_BLANK if joiners else _INVISIBLE).search(text)
    if found is None:
        return None
    return f"it contains U+{ord(found[0]):04X} ({unicodedata.name(found[0], 'no name')}), which cannot be seen"


def name_fault(text: str) -> str | None:
    """Why ``text`` may not be the name of something: it has a character that nobody sees, or a space at an end."""
    if hidden := invisible(text):
        return hidden
    return "it begins or ends with a space" if text != text.strip() else None


def alike(name: str) -> str:
    """What two names have in common that look alike: Unicode's NFKC_Casefold, and all spaces as one. Linear in time
    for text of bounded length only.
    """
    visible = _INVISIBLE.sub("", name)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", visible).casefold())
    return _SPACES.sub(" ", folded).strip()
