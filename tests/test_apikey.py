"""What is taken for a key, and what is masked."""

from __future__ import annotations

import pytest

from hokusai import apikey
from hokusai.apikey import Key, Malformed, masked, mint, parse

KEY = mint("live").text


def test_a_new_key_is_read_back() -> None:
    for environment in ("live", "test"):
        key = mint(environment)  # type: ignore[arg-type]
        assert parse(key.text) == key
        assert key.environment == environment
        assert key.text not in repr(key)


@pytest.mark.parametrize(
    "text",
    ["", "x", KEY[:-1], KEY + "0", "hk_prod_" + KEY[8:], KEY[:-1] + "-", KEY.swapcase()],
    ids=["empty", "one letter", "too short", "too long", "another prefix", "a hyphen", "other case"],
)
def test_anything_else_is_malformed_and_the_reason_repeats_none_of_it(text: str) -> None:
    found = parse(text)
    assert isinstance(found, Malformed)
    assert text[8:] not in found.reason or not text[8:]


@pytest.mark.parametrize(
    "text",
    [KEY, KEY[:20], KEY[:12], KEY + "0", f"{KEY[:20]}-{KEY[20:]}", f"{KEY[:20]}_{KEY[20:]}"],
    ids=["whole", "cut", "its hint", "too long", "a hyphen", "an underscore"],
)
def test_a_key_is_masked_whole_cut_short_or_mistyped(text: str) -> None:
    assert masked(f"before {text}, after") == "before (an API key), after"


def test_talk_about_keys_is_not_masked() -> None:
    for text in ("it starts with hk_live_ or hk_test_.", "Bearer hk_live_…", "hk_prod_abc", "xhk_liv_abc"):
        assert masked(text) == text


def test_only_a_whole_key_is_whole() -> None:
    assert isinstance(parse(KEY), Key)
    assert apikey.WHOLE.search(f"a name with {KEY} in it")
    assert not apikey.WHOLE.search("hk_live_model")
