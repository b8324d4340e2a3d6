"""What the gateway reads it reads one way, and what has two readings is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hokusai import errors
from hokusai.gateway import reading

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=6))
async def test_an_object_comes_through_as_it_was(value: dict[str, object]) -> None:
    raw = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert json.loads(await reading.json_object(raw, None)) == value


async def test_only_listed_names_go_on() -> None:
    raw = b'{"name": "m", "runId": "x", "source": "s", "__proto__": {}}'
    assert await reading.json_object(raw, ("name", "source", "tags")) == b'{"name":"m","source":"s"}'


async def test_an_empty_body_is_an_empty_object() -> None:
    assert await reading.json_object(b"", ("name",)) == b"{}"


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"{", errors.BodyUnreadable),
        (b"name=x", errors.BodyUnreadable),
        (b"[]", errors.BodyUnreadable),
        (b"null", errors.BodyUnreadable),
        (b"7", errors.BodyUnreadable),
        (b'"{\\"name\\": \\"m\\"}"', errors.BodyDoublyEncoded),
        (b'{"name": "a", "name": "b"}', errors.BodyDuplicateName),
        (b'{"tags": [{"key": "a", "key": "b"}]}', errors.BodyDuplicateName),
        (b'{"a\\u0062": 1, "ab": 2}', errors.BodyDuplicateName),
        (b'{"value": NaN}', errors.BodyUnreadable),
        (b'{"value": -Infinity}', errors.BodyUnreadable),
        (b'{"value": 1e999}', errors.BodyUnreadable),
        (b'{"value": "\\ud800"}', errors.BodyUnreadable),
        (b'\xef\xbb\xbf{"name": "m"}', errors.BodyUnreadable),
        ('{"name": "m"}'.encode("utf-16"), errors.BodyUnreadable),
        (b'{"name": "\xff"}', errors.BodyUnreadable),
        (b'{"a": ' * 10_000 + b"1" + b"}" * 10_000, errors.BodyUnreadable),
        (b'{"a": ' + b"[" * 65 + b"]" * 65 + b"}", errors.BodyUnreadable),
        (b'{"n": ' + b"1" * 5000 + b"}", errors.BodyUnreadable),
        (b'{"name": "m"} {"name": "n"}', errors.BodyUnreadable),
        (b'{"experiment_id": "' + b"9" * 40 + b'"}', errors.BodyUnreadable),
        (b'{"version": -' + b"9" * 40 + b"}", errors.BodyUnreadable),
    ],
)
async def test_what_is_no_single_object_is_refused(raw: bytes, error: type[errors.HokusaiError]) -> None:
    with pytest.raises(error):
        await reading.json_object(raw, None)


async def test_brackets_inside_strings_are_no_depth() -> None:
    raw = json.dumps({"model_json": "[{" * 500}).encode()
    assert json.loads(await reading.json_object(raw, None)) == {"model_json": "[{" * 500}


@pytest.mark.parametrize("size", [60_000, 1_000_000])
@pytest.mark.timeout(20)
async def test_an_unclosed_string_behind_many_brackets_costs_no_more_than_its_length(size: int) -> None:
    raw = b'{"name":[' + b"[" * 70 + b'"' + b'\\"' * (size // 2)
    with pytest.raises(errors.BodyUnreadable):
        await reading.json_object(raw, None)


async def test_64_levels_are_read_and_65_are_not() -> None:
    assert await reading.json_object(b'{"a":' + b"[" * 63 + b"]" * 63 + b"}", None)
    with pytest.raises(errors.BodyUnreadable, match="nested"):
        await reading.json_object(b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", None)


async def test_a_body_with_many_duplicates_is_refused_in_linear_time() -> None:
    raw = b"{" + b",".join(b'"%d":1' % n for n in range(200_000)) + b',"7":2}'
    with pytest.raises(errors.BodyDuplicateName, match="'7'"):
        await reading.json_object(raw, None)


@pytest.mark.parametrize(
    ("raw", "fields", "expected"),
    [
        (b"run_id=a", ("run_id",), "run_id=a"),
        (b"run_id=a&other=b", ("run_id",), "run_id=a"),
        (b"filter=name%3D%27a+b%27", ("filter",), "filter=name%3D%27a+b%27"),
        (b"order_by=a&order_by=b", ("order_by*",), "order_by=a&order_by=b"),
        (b"%72un_id=a", ("run_id",), "run_id=a"),
        (b"path=%C3%BC", ("path",), "path=%C3%BC"),
        (b"", ("run_id",), ""),
        (b"limit=3", None, "limit=3"),
    ],
)
def test_a_query_is_written_out_in_one_spelling(raw: bytes, fields: tuple[str, ...] | None, expected: str) -> None:
    assert reading.query(raw, fields) == expected


@pytest.mark.parametrize(
    "raw",
    [
        b"run_id=a&run_id=b",
        b"run_id=a&%72un_id=b",
        b"run_id=%",
        b"run_id=%zz",
        b"run_id=%ff",
        b"run_id=%c0%ae",
        b"version=" + b"9" * 30,
    ],
)
def test_a_query_with_two_readings_is_refused(raw: bytes) -> None:
    with pytest.raises(errors.QueryMalformed):
        reading.query(raw, ("run_id", "version"))


@pytest.mark.parametrize("raw", ["..", ".", "%2e%2e", "a%2fb", "a%5cb", "a%00", "a%0a", "%", "%c0%af", "a\\b"])
def test_a_segment_with_two_readings_is_refused(raw: str) -> None:
    with pytest.raises(errors.PathMalformed):
        reading.segment(raw)


def test_a_segment_is_decoded_once() -> None:
    assert reading.segment("a%2520b") == "a%20b"
