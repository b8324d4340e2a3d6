"""The form of an API key: how one is made, read, recognised in other text and masked.

``hk_live_`` or ``hk_test_``, 32 base62 characters of randomness (190 bits), and 6 base62 characters
of the CRC-32 of everything before them. So a mistyped or invented key is refused without a look-up,
and a secret scanner can recognise a real one.
"""

from __future__ import annotations

import re
import secrets
import string
import zlib
from dataclasses import dataclass, field
from typing import Literal

Environment = Literal["live", "test"]

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_PAIRS = [first + second for first in _BASE62 for second in _BASE62]
_PREFIXES = ("hk_live_", "hk_test_")
_LENGTH = 46
_HINT_LENGTH = 12

#: A whole key. Its first group is the environment.
WHOLE = re.compile(r"hk_(live|test)_[0-9A-Za-z]{38}")
#: A key or the beginning of one, cut short or mistyped: what is kept out of logs, errors and URLs.
TRACE = re.compile(r"hk_(live|test)_[0-9A-Za-z_-]+")


@dataclass(frozen=True, slots=True)
class Key:
    """A key whose form and checksum are right. The text is kept out of ``repr``."""

    text: str = field(repr=False)
    environment: str

    @property
    def hint(self) -> str:
        """The first characters, by which people recognise their key; 166 bits stay unknown."""
        return self.text[:_HINT_LENGTH]


@dataclass(frozen=True, slots=True)
class Malformed:
    """Not a key. ``reason`` repeats nothing of the text."""

    reason: str


def mint(environment: Environment) -> Key:
    """A new key from the system's random source."""
    before = f"hk_{environment}_" + random_text(32)
    return Key(before + _checksum(before), environment)


def parse(text: str) -> Key | Malformed:
    """The key that ``text`` is, or why it is not one."""
    form = WHOLE.fullmatch(text)
    if form is None:
        return Malformed(_misfit(text))
    if text[-6:] != _checksum(text[:-6]):
        return Malformed("the checksum does not match, so at least one character is wrong")
    return Key(text, form[1])


def masked(text: str) -> str:
    """``text`` without any API key or part of one."""
    return TRACE.sub("(an API key)", text)


def is_prefixed(text: str) -> bool:
    """Whether ``text`` begins as a key does."""
    return text.startswith(_PREFIXES)


def random_text(length: int) -> str:
    """Base62 characters from the system's random source."""
    return "".join(secrets.choice(_BASE62) for _ in range(length))


def _checksum(before: str) -> str:
    number = zlib.crc32(before.encode("ascii"))
    return _PAIRS[number // 3844**2] + _PAIRS[number // 3844 % 3844] + _PAIRS[number % 3844]


def _misfit(text: str) -> str:
    if not is_prefixed(text):
        return "it does not start with hk_live_ or hk_test_"
    if len(text) != _LENGTH:
        return f"it has {len(text)} characters instead of {_LENGTH}"
    return "it contains a character that is neither a letter nor a digit"
