"""What the gateway reads it reads one way, and what has two readings is refused."""

import json

import pytest

from hokusai import errors
from hokusai.gateway import reading
from hokusai.gateway.field import Field, fields
from tests.properties import given, st

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
    assert json.loads(reading.written(await reading.json_object(raw, None))) == value


async def test_only_listed_names_go_on() -> None:
    raw = b'{"name": "m", "runId": "x", "source": "s", "__proto__": {}}'
    read = await reading.json_object(raw, fields("name", "source", "tags"))
    assert reading.written(read) == b'{"name":"m","source":"s"}'


TAGS = Field("tags", parts=fields("key", "value"))


@pytest.mark.parametrize(
    ("sent", "goes_on"),
    [
        (
            {"tags": [{"key": "a", "value": "b", "modelId": "m", "__class__": 1}]},
            {"tags": [{"key": "a", "value": "b"}]},
        ),
        ({"tags": None, "name": None}, {}),
        ({"tags": [{"key": "a", "value": None}]}, {"tags": [{"key": "a"}]}),
        ({"name": "m", "version": "7"}, {"name": "m", "version": "7"}),
        ({"version": 7.0, "experiment_ids": ["1", 2]}, {"version": 7.0, "experiment_ids": ["1", 2]}),
    ],
)
async def test_members_that_are_not_listed_stay_behind_at_every_level(sent: object, goes_on: object) -> None:
    takes = fields("name", "version", "experiment_ids", TAGS)
    assert await reading.json_object(json.dumps(sent).encode(), takes) == goes_on


@pytest.mark.parametrize(
    "sent",
    [
        {"tags": ["a"]},
        {"tags": "a"},
        {"tags": [[{"key": "a"}]]},
        {"tags": [None]},
        {"tags": [{"key": {"a": 1}}]},
        {"name": {"a": 1}},
        {"name": [{"a": 1}]},
        {"version": "1e2"},
        {"version": "9" * 19},
        {"version": 10**18},
        {"version": -(10**18)},
        {"version": 1.5},
        {"version": True},
        {"version": ""},
        {"experiment_ids": ["1", "x"]},
    ],
)
async def test_what_holds_something_else_than_its_field_does_is_refused(sent: object) -> None:
    with pytest.raises(errors.BodyUnreadable):
        await reading.json_object(json.dumps(sent).encode(), fields("name", "version", "experiment_ids", TAGS))


async def test_a_list_has_a_bound() -> None:
    assert await reading.json_object(json.dumps({"name": ["a"] * 1000}).encode(), fields("name"))
    with pytest.raises(errors.ListTooLong, match="1000"):
        await reading.json_object(json.dumps({"name": ["a"] * 1001}).encode(), fields("name"))
    with pytest.raises(errors.ListTooLong, match="1000"):
        reading.query(b"name=a&" * 1000 + b"name=a", (Field("name", many=True),))


async def test_an_empty_body_is_an_empty_object() -> None:
    assert await reading.json_object(b"", fields("name")) == {}


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
    ],
)
async def test_what_is_no_single_object_is_refused(raw: bytes, error: type[errors.HokusaiError]) -> None:
    with pytest.raises(error):
        reading.written(await reading.json_object(raw, None))


async def test_brackets_inside_strings_are_no_depth() -> None:
    raw = json.dumps({"model_json": "[{" * 500}).encode()
    assert await reading.json_object(raw, None) == {"model_json": "[{" * 500}


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
    ("raw", "takes", "expected"),
    [
        (b"run_id=a", fields("run_id"), {"run_id": "a"}),
        (b"run_id=a&other=b", fields("run_id"), {"run_id": "a"}),
        (b"filter=name%3D%27a+b%27", fields("filter"), {"filter": "name='a b'"}),
        (b"order_by=a&order_by=b", (Field("order_by", many=True),), {"order_by": ["a", "b"]}),
        (b"%72un_id=a", fields("run_id"), {"run_id": "a"}),
        (b"path=%C3%BC", fields("path"), {"path": "ü"}),
        (b"", fields("run_id"), {}),
        (b"limit=3", None, {"limit": "3"}),
    ],
)
def test_a_query_is_read_in_one_way(raw: bytes, takes: tuple[Field, ...] | None, expected: dict[str, object]) -> None:
    assert reading.query(raw, takes) == expected


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
        b"version=1e2",
        b"version=+1",
    ],
)
def test_a_query_with_two_readings_is_refused(raw: bytes) -> None:
    with pytest.raises(errors.QueryMalformed):
        reading.query(raw, fields("run_id", "version"))


@pytest.mark.parametrize("raw", ["..", ".", "%2e%2e", "a%2fb", "a%5cb", "a%00", "a%0a", "%", "%c0%af", "a\\b"])
def test_a_segment_with_two_readings_is_refused(raw: str) -> None:
    with pytest.raises(errors.PathMalformed):
        reading.segment(raw)


def test_a_segment_is_decoded_once() -> None:
    assert reading.segment("a%2520b") == "a%20b"
