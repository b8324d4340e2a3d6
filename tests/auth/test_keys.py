from __future__ import annotations

import hashlib
import hmac
import json
import string
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hokusai import errors, identity
from hokusai.auth import keys
from tests.properties import given, st

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "keys.json").read_text())
BASE62 = string.digits + string.ascii_letters


@pytest.mark.parametrize("golden", GOLDEN["keys"], ids=lambda golden: golden["hint"])
def test_a_key_of_every_release_is_still_read_and_found(golden: dict[str, str]) -> None:
    key = keys.parse(golden["key"])
    assert isinstance(key, keys.Key)
    assert (key.environment, key.hint) == (golden["environment"], golden["hint"])
    assert keys.digest(key, bytes.fromhex(GOLDEN["pepper"])).hex() == golden["digest"]


@pytest.mark.parametrize("golden", GOLDEN["keys"], ids=lambda golden: golden["hint"])
def test_every_single_character_mutation_of_a_golden_key_is_refused(golden: dict[str, str]) -> None:
    text = golden["key"]
    for place in range(len(text)):
        for other in BASE62 + "_- é":
            if other != text[place]:
                assert isinstance(keys.parse(text[:place] + other + text[place + 1 :]), errors.KeyMalformed)


@given(st.sampled_from(["live", "test"]), st.integers(0, 45), st.characters())
def test_any_single_character_mutation_of_any_key_is_refused(environment: str, place: int, other: str) -> None:
    text = keys.mint(environment).text
    mutated = text[:place] + other + text[place + 1 :]
    assert isinstance(keys.parse(mutated), errors.KeyMalformed) == (mutated != text)


@given(st.integers(8, 44))
def test_swapped_neighbours_are_refused(place: int) -> None:
    text = keys.mint("live").text
    swapped = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    assert isinstance(keys.parse(swapped), errors.KeyMalformed) == (swapped != text)


@given(st.text())
def test_what_is_no_key_is_refused_with_a_reason_that_repeats_nothing_of_it(text: str) -> None:
    refusal = keys.parse("hk_live_" + text)
    assert isinstance(refusal, errors.KeyMalformed)
    reasons = {keys.parse(other).reason for other in ("", "hk_live_" + "é" * 38, keys.mint("live").text[:-1] + "é")}
    assert refusal.reason in reasons or refusal.reason.startswith(f"it has {8 + len(text)} characters")


def test_form_and_checksum() -> None:
    key = keys.mint("test")
    before, check = key.text[:40], key.text[40:]
    number = 0
    for digit in check:
        number = number * 62 + (string.digits + string.ascii_uppercase + string.ascii_lowercase).index(digit)
    assert before.startswith("hk_test_")
    assert len(key.text) == 46
    assert number == zlib.crc32(before.encode())


def test_a_small_checksum_is_padded_with_zeros() -> None:
    assert any(keys.mint("live").text[-6] == "0" for _ in range(2000))
    assert all(isinstance(keys.parse(keys.mint("live").text), keys.Key) for _ in range(2000))


def test_keys_and_ids_do_not_repeat() -> None:
    assert len({keys.mint("live").text for _ in range(1000)}) == 1000
    ids = {keys.mint_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(keys.is_id(each) for each in ids)


def test_the_secret_is_in_no_representation() -> None:
    key = keys.mint("live")
    assert key.text[12:] not in f"{key!r} {key}"


def test_the_digest_is_hmac_sha256_and_depends_on_the_pepper() -> None:
    key = keys.mint("live")
    expected = hmac.new(b"one", key.text.encode(), hashlib.sha256).digest()
    assert keys.digest(key, b"one") == expected
    assert keys.digest(key, b"two") != expected
    assert len(keys.digest(key, b"")) == 32


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90d", timedelta(days=90)),
        ("12h", timedelta(hours=12)),
        ("30m", timedelta(minutes=30)),
        ("45s", timedelta(seconds=45)),
        ("2w", timedelta(weeks=2)),
        ("0s", timedelta()),
        ("36500d", timedelta(days=36500)),
    ],
)
def test_durations(text: str, expected: timedelta) -> None:
    assert identity.parse_duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", "90", "d", "-1d", "1.5h", "90 d", "90D", "1y", "36501d", "999999999w", "٣d", "1d\n"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        identity.parse_duration(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1000/h", 1000), ("20/s", 72_000), ("20/second", 72_000), ("5/minute", 300), ("1000/d", 41), ("7/hour", 7)],
)
def test_rates(text: str, expected: int) -> None:
    assert identity.parse_rate(text) == expected


@pytest.mark.parametrize(
    "text", ["", "1000", "/h", "0/h", "1/d", "-5/h", "1e3/h", "5/hours", "5/year", "999999999/s", "5 /h"]
)
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match="rate"):
        identity.parse_rate(text)


@pytest.mark.parametrize("text", ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1"])
def test_networks(text: str) -> None:
    assert str(keys.parse_network(text)).startswith(text)


@pytest.mark.parametrize("text", ["", "10.0.0.1/8", "10.0.0.0/33", "example.org", "::ffff:10.0.0.0/104"])
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(ValueError, match=r"network|host bits|notation"):
        keys.parse_network(text)


def test_instants_are_read_into_utc() -> None:
    assert keys.parse_instant("2030-01-31T12:00:00+02:00") == datetime(2030, 1, 31, 10, tzinfo=UTC)
    assert keys.parse_instant("2030-01-31T12:00:00Z").tzinfo is UTC


@pytest.mark.parametrize("text", ["", "2030-01-31", "2030-01-31T12:00:00", "tomorrow", "0001-01-01T00:00:00+14:00"])
def test_what_is_no_instant(text: str) -> None:
    with pytest.raises(ValueError, match="ISO 8601"):
        keys.parse_instant(text)
