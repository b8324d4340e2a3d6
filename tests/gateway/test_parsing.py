"""The gateway parses a request in one way; what has two readings, or is not what its field holds, is refused."""

import json

import pytest

from hokusai import errors, json_body
from hokusai.gateway import parsing
from hokusai.gateway.field import BOOLEAN, ENUM, INT64, NUMBER, Field, Kind, fields
from hokusai.gateway.table import TRACKING
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
    assert json.loads(await json_body.encode(await parsing.json_object(raw, None))) == value


async def test_only_listed_names_go_on() -> None:
    raw = b'{"name": "m", "runId": "x", "source": "s", "__proto__": {}}'
    read = await parsing.json_object(raw, fields("name", "source", "tags"))
    assert await json_body.encode(read) == b'{"name":"m","source":"s"}'


TAGS = Field("tags", many=True, parts=fields("key", "value"))
VERSION = Field("version", INT64)
EXPERIMENTS = Field("experiment_ids", INT64, many=True)


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
    takes = fields("name", VERSION, EXPERIMENTS, TAGS)
    assert await parsing.json_object(json.dumps(sent).encode(), takes) == goes_on


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
        {"version": 2**63},
        {"version": -(2**63) - 1},
        {"version": str(2**63)},
        {"version": 2.0**63},
        {"version": 10**30},
        {"version": "\u0661"},
        {"version": " 7"},
        {"version": "+7"},
        {"version": "7.0"},
        {"version": ["7"]},
        {"version": 1.5},
        {"version": True},
        {"version": ""},
        {"experiment_ids": ["1", "x"]},
        {"experiment_ids": "1"},
        {"name": 7},
        {"name": True},
        {"name": ["a"]},
        {"tags": {"key": "a"}},
        {"tags": [{"key": 7}]},
    ],
)
async def test_what_holds_something_else_than_its_field_does_is_refused(sent: dict[str, object]) -> None:
    with pytest.raises(errors.ParameterInvalid) as refused:
        await parsing.json_object(json.dumps(sent).encode(), fields("name", VERSION, EXPERIMENTS, TAGS))
    assert str(refused.value).startswith(f"gateway: '{next(iter(sent))}")


async def test_a_refusal_names_the_field_and_what_it_holds() -> None:
    metric = {"key": "loss", "value": 1, "timestamp": "now"}
    (takes,) = (route.fields for route in TRACKING if route.path.endswith("/runs/log-batch"))
    with pytest.raises(errors.ParameterInvalid) as refused:
        await parsing.json_object(json.dumps({"metrics": [metric]}).encode(), takes)
    assert str(refused.value) == (
        "gateway: 'metrics.timestamp' is not a whole number from -9223372036854775808 to 9223372036854775807."
    )
    with pytest.raises(errors.ParameterInvalid, match="'metrics' is not a list of objects"):
        await parsing.json_object(b'{"metrics": 7}', takes)
    with pytest.raises(errors.ParameterInvalid, match="'tags.key' is not a string"):
        await parsing.json_object(b'{"tags": [{"key": ["a"]}]}', takes)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (INT64, [0, -1, 7.0, "7", "-0", "007", 10**18, 2**63 - 1, -(2**63), str(2**63 - 1), str(-(2**63))]),
        (NUMBER, [0, 0.5, -1e300, True, "7", " 7 ", "1e2", "NaN", "-Infinity"]),
        (BOOLEAN, [True, False]),
        (ENUM, ["ALL", 2, "2", True, 99]),
    ],
    ids=["int64", "number", "boolean", "enum"],
)
async def test_what_mlflows_parser_takes_goes_on_as_it_was(kind: Kind, values: list[object]) -> None:
    for value in values:
        assert await parsing.json_object(json.dumps({"x": value}).encode(), (Field("x", kind),)) == {"x": value}


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (NUMBER, [[], [7], {}, "much", "", 10**400]),
        (BOOLEAN, ["true", 1, 0, [], {}]),
        (ENUM, [[], ["ALL"], {}, [None]]),
    ],
    ids=["number", "boolean", "enum"],
)
async def test_what_mlflows_parser_fails_on_is_refused(kind: Kind, values: list[object]) -> None:
    for value in values:
        with pytest.raises(errors.ParameterInvalid):
            await parsing.json_object(json.dumps({"x": value}).encode(), (Field("x", kind),))


async def test_a_string_has_the_length_its_field_declares() -> None:
    takes = (Field("order_by", many=True, max_length=3), Field("name", max_length=3))
    for sent in ({"name": "abc"}, {"order_by": ["abc", "def"]}):
        assert await parsing.json_object(json.dumps(sent).encode(), takes) == sent
    for sent in ({"name": "abcd"}, {"order_by": ["abc", "defg"]}):
        with pytest.raises(errors.TextTooLong, match="longer than 3"):
            await parsing.json_object(json.dumps(sent).encode(), takes)
    with pytest.raises(errors.TextTooLong, match="'name'"):
        parsing.query(b"name=abcd", takes)


async def test_a_list_has_a_bound() -> None:
    names = (Field("name", many=True),)
    assert await parsing.json_object(json.dumps({"name": ["a"] * 1000}).encode(), names)
    with pytest.raises(errors.ListTooLong, match="1000"):
        await parsing.json_object(json.dumps({"name": ["a"] * 1001}).encode(), names)
    with pytest.raises(errors.ListTooLong, match="1000"):
        parsing.query(b"name=a&" * 1000 + b"name=a", names)


async def test_an_empty_body_is_an_empty_object() -> None:
    assert await parsing.json_object(b"", fields("name")) == {}


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
        await json_body.encode(await parsing.json_object(raw, None))


async def test_brackets_inside_strings_are_no_depth() -> None:
    raw = json.dumps({"model_json": "[{" * 500}).encode()
    assert await parsing.json_object(raw, None) == {"model_json": "[{" * 500}


@pytest.mark.parametrize("size", [60_000, 1_000_000])
@pytest.mark.timeout(20)
async def test_an_unclosed_string_behind_many_brackets_costs_no_more_than_its_length(size: int) -> None:
    raw = b'{"name":[' + b"[" * 70 + b'"' + b'\\"' * (size // 2)
    with pytest.raises(errors.BodyUnreadable):
        await parsing.json_object(raw, None)


async def test_64_levels_are_read_and_65_are_not() -> None:
    assert await parsing.json_object(b'{"a":' + b"[" * 63 + b"]" * 63 + b"}", None)
    with pytest.raises(errors.BodyUnreadable, match="nested"):
        await parsing.json_object(b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", None)


async def test_a_body_with_many_duplicates_is_refused_in_linear_time() -> None:
    raw = b"{" + b",".join(b'"%d":1' % n for n in range(200_000)) + b',"7":2}'
    with pytest.raises(errors.BodyDuplicateName, match="'7'"):
        await parsing.json_object(raw, None)


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
    assert parsing.query(raw, takes) == expected


@pytest.mark.parametrize(
    "raw",
    [
        b"run_id=a&run_id=b",
        b"run_id=a&%72un_id=b",
        b"run_id=%",
        b"run_id=%zz",
        b"run_id=%ff",
        b"run_id=%c0%ae",
    ],
)
def test_a_query_with_two_readings_is_refused(raw: bytes) -> None:
    with pytest.raises(errors.QueryMalformed):
        parsing.query(raw, fields("run_id"))


@pytest.mark.parametrize(
    "value", [b"9" * 30, b"1e2", b"+1", b"%2B1", b"", b"x", b"7.0", b"9223372036854775808", b"-9223372036854775809"]
)
def test_a_query_holds_whole_numbers_where_they_belong(value: bytes) -> None:
    with pytest.raises(errors.ParameterInvalid, match="'version' is not a whole number"):
        parsing.query(b"version=" + value, (VERSION,))


@pytest.mark.parametrize("value", ["0", "-1", "9223372036854775807", "-9223372036854775808"])
def test_a_query_holds_64_bits(value: str) -> None:
    assert parsing.query(f"version={value}".encode(), (VERSION,)) == {"version": value}


@pytest.mark.parametrize(
    "raw",
    [
        "..",
        ".",
        "%2e%2e",
        "a%2fb",
        "a%5cb",
        "a%00",
        "a%0a",
        "%",
        "%c0%af",
        "a\\b",
        "a%C2%85b",
        "a%E2%80%AEb",
        "a%E2%80%8Fb",
    ],
)
def test_a_segment_with_two_readings_is_refused(raw: str) -> None:
    with pytest.raises(errors.PathMalformed):
        parsing.segment(raw)


def test_a_segment_is_decoded_once() -> None:
    assert parsing.segment("a%2520b") == "a%20b"
