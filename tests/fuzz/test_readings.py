"""Everything that parses untrusted text: raises only our errors, round-trips, and takes linear time."""

from __future__ import annotations

import base64
import contextlib
import json
import sys
from collections.abc import Callable
from ipaddress import ip_network
from types import FrameType
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hokusai import errors, identity, json_body
from hokusai.artifacts.http import digests, ranges
from hokusai.artifacts.http.conditions import Condition
from hokusai.artifacts.path import ArtifactPath, Place, place
from hokusai.auth import keys
from hokusai.gateway import identify, parsing, redaction
from hokusai.gateway.address import address_of
from hokusai.gateway.exchange import EXCHANGE, Exchange
from hokusai.gateway.table import ROUTES
from tests.fuzz.bounds import bounds

PIECES = [
    *(b"%", b"%2", b"%2e", b"%2F", b"%25", b"%00", b"%ff", b"%c0%ae", b".", b"..", b"/", b"\\", b"#", b"?", b"&", b"="),
    *(
        b"+",
        b";",
        b"a",
        b"0",
        b"-",
        b",",
        b":",
        b"\x00",
        b"\r\n",
        b"\xff",
        b"\xc3\xbc",
        b"\xe2\x80\xae",
        b"{",
        b"}",
        b"[",
    ),
    *(b"]", b'"', b"\\u", b"\\ud800", b"null", b"1e999", b"NaN", b"hk_live_", b"bytes=", b"sha-256=", b"workspaces/"),
    *(
        b"name",
        b"tags",
        b"key",
        b"version",
        b"run_id",
        b" ",
        b"\t",
        b"*",
        b"W/",
        b"Bearer ",
        b"Basic ",
        b"::1",
        b"%eth0",
    ),
]
RAW = st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join) | st.binary(max_size=60)
TEXT = RAW.map(lambda raw: raw.decode("latin-1")) | st.text(max_size=60)
FIELDS = st.sampled_from([None, (), *{route.fields for route in ROUTES if route.fields}])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["\ud800", "", "0"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["key", "value", "name", "model_id", "größe"]), inner, max_size=3)
    ),
    max_leaves=10,
)
NAMES = st.sampled_from(["name", "tags", "params", "metrics", "models", "experiment_ids", "run_id", "version", "x", ""])
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=5)


@bounds(300, long=5_000)
@given(raw=RAW, fields=FIELDS)
def test_a_query_is_read_as_it_was_written(raw: bytes, fields: Any) -> None:
    try:
        found = parsing.query(raw, fields)
    except (errors.BadRequest, errors.ListTooLong):
        return
    again = urlencode(found, doseq=True).encode()
    assert parsing.query(again, fields) == found
    assert urlencode(parsing.query(again, fields), doseq=True).encode() == again
    if fields is not None:
        assert set(found) <= {field.name for field in fields}


@bounds(300, long=5_000)
@given(raw=TEXT)
def test_a_segment_is_one_name(raw: str) -> None:
    assume(raw.isascii())
    try:
        found = parsing.segment(raw)
    except errors.PathMalformed:
        return
    assert found not in {"", ".", ".."}
    assert not set(found) & set("/\\\0\r\n")
    assert parsing.segment(quote(found, safe="")) == found


@bounds(300, long=5_000)
@given(
    raw=RAW
    | OBJECTS.map(json.dumps).map(str.encode)
    | OBJECTS.map(lambda one: json.dumps(one, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    fields=FIELDS,
)
async def test_json_is_read_as_it_was_written(raw: bytes, fields: Any) -> None:
    try:
        found = await parsing.json_object(raw, fields)
        written = await json_body.encode(found)
    except (errors.BadRequest, errors.TooLarge):
        return
    assert json.loads(written) == found
    again = await parsing.json_object(written, fields)
    assert (again, await json_body.encode(again)) == (found, written)


@bounds(400, long=5_000)
@given(raw=RAW, workspace=st.sampled_from(["acme", "a", "workspaces2"]))
def test_an_artifact_path_has_one_spelling_inside_one_workspace(raw: bytes, workspace: str) -> None:
    found = ArtifactPath.decode(raw)
    if isinstance(found, errors.ArtifactPathInvalid):
        return
    assert ArtifactPath.read(found.text) == found
    assert ArtifactPath.decode(quote(found.text).encode()) == found
    there = place(found, workspace)
    if isinstance(there, Place):
        assert there.key == f"workspaces/{workspace}" or there.key.startswith(f"workspaces/{workspace}/")
        assert ".." not in there.key.split("/")


@bounds(300, long=5_000)
@given(value=TEXT, size=st.integers(0, 2**63), etag=st.sampled_from(["a", "0" * 64]))
def test_ranges_lie_inside_the_file(value: str, size: int, etag: str) -> None:
    for text in (value, "bytes=" + value):
        found = ranges.spans_of(text, size)
        for span in () if isinstance(found, errors.RangeUnsatisfiable) else found:
            assert 0 <= span.offset < size
            assert 0 < span.length <= size - span.offset
            again = f"bytes={span.offset}-{span.offset + span.length - 1}"
            assert list(ranges.spans_of(again, size)) == [span] or len(again) > 45
    assert Condition(none_match=value).unchanged(etag) in {True, False}


@bounds(300, long=5_000)
@given(value=TEXT, sha256=st.binary(min_size=32, max_size=32))
def test_digests_are_read_as_they_were_written(value: str, sha256: bytes) -> None:
    found = digests.claimed(value)
    assert isinstance(found, errors.DigestMismatch) or all(len(one) == 64 for one in found)
    ((_, _), (_, proof)) = digests.digest_headers(sha256.hex())
    assert digests.claimed(proof.decode()) == [sha256.hex()]


@bounds(300, long=5_000)
@given(text=TEXT, environment=st.sampled_from(["live", "test"]), place=st.integers(0, 45), letter=st.characters())
def test_a_key_with_one_wrong_character_is_none(text: str, environment: Any, place: int, letter: str) -> None:
    found = keys.parse(text)
    assert isinstance(found, errors.KeyMalformed)
    assert text not in str(found) or len(text) < 4
    key = keys.mint(environment)
    assert keys.parse(key.text) == key
    wrong = key.text[:place] + letter + key.text[place + 1 :]
    assert wrong == key.text or isinstance(keys.parse(wrong), errors.KeyMalformed)


@bounds(200, long=3_000)
@given(before=TEXT, after=TEXT, times=st.integers(0, 4), odd=st.booleans())
def test_a_key_is_seen_in_any_spelling(before: str, after: str, times: int, odd: bool) -> None:
    text = keys.mint("live").text
    for _ in range(times):
        text = "".join(f"%{ord(letter):02X}" for letter in text) if odd and len(text) < 1000 else quote(text, safe="")
    assert redaction.holds_key(before.replace("%", "") + text + after.replace("%", ""))
    assert keys.mint("live").text not in redaction.shown(before + text, limit=10_000)


@bounds(300, long=5_000)
@given(
    values=st.lists(
        st.tuples(st.sampled_from([b"authorization", b"x-api-key"]), RAW | RAW.map(base64.b64encode)), max_size=3
    ),
    scheme=st.sampled_from([b"", b"Bearer ", b"Basic ", b"basic "]),
)
def test_a_key_is_found_or_refused(values: list[tuple[bytes, bytes]], scheme: bytes) -> None:
    headers = [(name, (scheme if name == b"authorization" else b"") + value) for name, value in values]
    scope = {"headers": headers, EXCHANGE: Exchange("id", "127.0.0.1", None)}
    with contextlib.suppress(errors.Unauthorized, errors.KeyAmbiguous):
        assert isinstance(identify.key_of(scope), str)


@bounds(300, long=5_000)
@given(hops=st.lists(RAW | st.ip_addresses().map(str).map(str.encode), max_size=4))
def test_an_address_is_the_peers_or_one_that_was_named(hops: list[bytes]) -> None:
    scope = {"client": ("10.0.0.1", 1), "headers": [(b"x-forwarded-for", hop) for hop in hops]}
    assert address_of([])(scope) == "10.0.0.1"
    found = address_of([ip_network("10.0.0.0/8")])(scope)
    assert found == "10.0.0.1" or found in b",".join(hops).decode("latin-1")


@bounds(300, long=5_000)
@given(text=TEXT)
def test_small_texts_are_read_or_refused(text: str) -> None:
    parsers: list[Callable[[str], object]] = [
        identity.parse_duration,
        identity.parse_rate,
        keys.parse_network,
        keys.parse_instant,
    ]
    for parse in parsers:
        with contextlib.suppress(ValueError):
            parse(text)


# Linear time, in operations of the interpreter: the machine's load says nothing about them.


def operations(call: Callable[[], object]) -> int:
    count = 0

    def trace(frame: FrameType, _event: str, _argument: object) -> Any:
        nonlocal count
        count += 1
        frame.f_trace_opcodes = True
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except (errors.HokusaiError, ValueError):
        pass
    finally:
        sys.settrace(before)
    return count


READERS: dict[str, Callable[[bytes], object]] = {
    "query": lambda raw: parsing.query(raw, None),
    "listed query": lambda raw: parsing.query(raw, ROUTES[12].fields),
    "segment": lambda raw: parsing.segment(raw.decode("latin-1")),
    "json": lambda raw: json_body.encode_now(parsing._json_object(raw, None)),
    "artifact path": ArtifactPath.decode,
    "range": lambda raw: ranges.spans_of(raw.decode("latin-1"), 100),
    "etags": lambda raw: Condition(none_match=raw.decode("latin-1")).unchanged("x"),
    "digest": lambda raw: digests.claimed(raw.decode("latin-1")),
    "key": lambda raw: keys.parse(raw.decode("latin-1")),
    "redaction": lambda raw: redaction.holds_key(raw.decode("latin-1")),
    "address": lambda raw: address_of([ip_network("0.0.0.0/0")])(
        {"client": ("10.0.0.1", 1), "headers": [(b"x-forwarded-for", raw)]}
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_twice_as_much_text_costs_twice_as_much(name: str) -> None:
    @bounds(25, long=200)
    @given(prefix=RAW, unit=st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map(b"".join), suffix=RAW)
    def tried(prefix: bytes, unit: bytes, suffix: bytes) -> None:
        small, large = (operations(lambda n=n: READERS[name](prefix + unit * n + suffix)) for n in (100, 400))  # type: ignore[misc]
        assert large <= 4 * small + 500, f"{small} operations became {large}"

    tried()
