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
from hokusai.text import alike, invisible, is_unprintable, name_fault

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


#: Characters that leave no mark, and are no help in writing anything.
BLANK = [*"\u200b\u2060\u2063\ufeff\u3164\u115f\u1160\uffa0\u17b4\u2800\u206a\U0001d159\U000e0001\ufff9"]
#: What joins letters, parts them, or chooses between forms of one.
JOINERS = [*"\u200c\u200d\xad\u034f\u180b\ufe0f\U000e0067\U000e0100"]


@pytest.mark.parametrize("letter", [*BLANK, *JOINERS], ids=ascii)
def test_a_name_shows_all_that_it_is_made_of(letter: str) -> None:
    for text in (f"a{letter}b", f"{letter}a", f"a{letter}", letter):
        assert f"U+{ord(letter):04X}" in (name_fault(text) or "")
        with pytest.raises(ValidationError):
            key_name(text)
        assert (invisible(text, joiners=True) is None) == (letter in JOINERS)


def test_what_is_invisible_is_what_unicode_says() -> None:
    """Format characters but those that are drawn, variation selectors and Hangul fillers; no other letter."""
    blank = ("HANGUL FILLER", "HANGUL CHOSEONG FILLER", "HANGUL JUNGSEONG FILLER", "HALFWIDTH HANGUL FILLER")
    blank += ("BRAILLE PATTERN BLANK", "MUSICAL SYMBOL NULL NOTEHEAD")
    for point in range(sys.maxunicode + 1):
        letter = chr(point)
        name, category = unicodedata.name(letter, ""), unicodedata.category(letter)
        if category == "Cf":
            drawn = name.startswith(("ARABIC", "SYRIAC", "KAITHI")) and "LETTER MARK" not in name
            assert bool(invisible(letter)) != drawn, f"U+{point:04X} {name}"
        elif name in blank or "VARIATION SELECTOR" in name:
            assert invisible(letter), f"U+{point:04X} {name}"
        elif category[0] in "LNS":
            assert not invisible(letter), f"U+{point:04X} {name}"


SPACES = [letter for letter in map(chr, range(0x3001)) if letter.isspace() and not is_unprintable(letter)]


@pytest.mark.parametrize("space", SPACES, ids=ascii)
def test_no_space_stands_at_an_end(space: str) -> None:
    for text in (f"{space}a", f"a{space}", space, f"{space}a{space}"):
        assert name_fault(text) == "it begins or ends with a space"
        with pytest.raises(ValidationError):
            key_name(text)
    assert name_fault(f"a{space}b") is None
    assert alike(f"a{space}b") == alike("a b")


@pytest.mark.parametrize(
    "text",
    [
        "iris",
        "größe",
        "模型",
        "fraud detector v2",
        "/Users/ada@example.org/first",
        "a/b: c",
        "bold-crane-482",
        "é",
        "e\u0301",
        "\U0001f600",
        "한국어",
        "हिन्दी",
    ],
)
def test_names_that_people_give_are_taken(text: str) -> None:
    assert name_fault(text) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("fraud", "Fraud"),
        ("fraud", "ｆｒａｕｄ"),
        ("fraud", "𝐟𝐫𝐚𝐮𝐝"),
        ("straße", "STRASSE"),
        ("é", "e\u0301"),
        ("Å", "\u212b"),
        ("a b", "a\u00a0b"),
        ("a b", "a  b"),
        ("file", "\ufb01le"),
        ("fraud", "fra\u200bud"),
        ("fraud", " fraud"),
        ("①", "1"),
    ],
)
def test_names_that_look_alike(one: str, other: str) -> None:
    assert alike(one) == alike(other)


@pytest.mark.parametrize(("one", "other"), [("fraud", "fraud2"), ("a b", "ab"), ("a-b", "a_b"), ("größe", "grosse")])
def test_names_that_do_not(one: str, other: str) -> None:
    assert alike(one) != alike(other)


def key_name(text: str) -> str:
    """A key's name as the auth service takes it, which is stricter: it refuses every formatting character."""
    found: str = TypeAdapter(Line).validate_python(text)
    return found
