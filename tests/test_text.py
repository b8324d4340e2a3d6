"""One definition of the characters that no name may have: in MLflow's names, in paths of files, in names of keys."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from pydantic import TypeAdapter, ValidationError

from hokusai import errors
from hokusai.artifacts.path import ArtifactPath
from hokusai.auth.api.responses import Line
from hokusai.gateway import parsing
from hokusai.text import is_unprintable

REFUSED = [*"\x00\t\n\r\x1b\x7f\x85\x9b\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\ud800\udfff"]
#: A joiner of emoji, and what Persian is written with.
TAKEN = [*"aü模\U0001f600 ", "\u200d", "\u200c", "\xad"]


def test_it_is_what_unicode_says() -> None:
    """Controls, separators of lines, surrogates, and all that UAX 9 calls a formatting character or a mark."""
    directional = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    marks = {"LEFT-TO-RIGHT MARK", "RIGHT-TO-LEFT MARK", "ARABIC LETTER MARK"}
    letters = list(map(chr, range(sys.maxunicode + 1)))
    expected = {letter for letter in letters if unicodedata.category(letter) in {"Cc", "Zl", "Zp", "Cs"}}
    expected |= {letter for letter in letters if unicodedata.bidirectional(letter) in directional}
    expected |= {unicodedata.lookup(name) for name in marks}
    assert set(filter(is_unprintable, letters)) == expected


@pytest.mark.parametrize("letter", REFUSED, ids=ascii)
def test_no_kind_of_name_has_such_a_character(letter: str) -> None:
    text = f"a{letter}b"
    assert is_unprintable(text)
    assert isinstance(ArtifactPath.read(text), errors.ArtifactPathInvalid)
    with pytest.raises(ValidationError):
        key_name(text)
    if not "\ud800" <= letter <= "\udfff":
        with pytest.raises(errors.PathMalformed):
            parsing.segment("".join(f"%{byte:02X}" for byte in text.encode()))


@pytest.mark.parametrize("letter", TAKEN, ids=ascii)
def test_other_text_is_taken(letter: str) -> None:
    assert not is_unprintable(f"a{letter}b")
    assert ArtifactPath.read(f"a{letter}b") == ArtifactPath(f"a{letter}b")


def key_name(text: str) -> str:
    """A key's name as the auth service takes it, which is stricter: it refuses every formatting character."""
    found: str = TypeAdapter(Line).validate_python(text)
    return found
