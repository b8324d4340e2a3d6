"""A refusal is the same error on both sides of the wire."""

import json

import pytest

from hokusai import errors
from hokusai.auth.contract import CANDIDATE, Refusal, facts

DENIED = [row for row in errors.rows() if issubclass(row, errors.Denied)]


def sent(refusal: errors.Denied, **more: object) -> dict[str, object]:
    ours = {"code": refusal.code, "subject": CANDIDATE, "facts": {**facts(refusal), **more}}
    return json.loads(json.dumps({"hokusai": ours}))


@pytest.mark.parametrize("row", DENIED, ids=lambda row: row.code)
@pytest.mark.parametrize("key_id", [None, "key_1"])
def test_a_refusal_is_made_again(row: type[errors.Denied], key_id: str | None) -> None:
    refusal = row.of({name: f"a {name}" for name in row.fact_names} | {"key_id": key_id})
    read = Refusal.read(sent(refusal))
    assert read
    again = read.error()
    assert (type(again), str(again), again.advice, again.facts) == (row, str(refusal), refusal.advice, refusal.facts)


@pytest.mark.parametrize("row", DENIED, ids=lambda row: row.code)
def test_every_fact_of_a_refusal_is_text(row: type[errors.Denied]) -> None:
    """Text is what the wire carries; anything else would come back as another type."""
    kinds = {kind for one in row.__mro__ if issubclass(one, errors.Denied) for kind in one.__annotations__.values()}
    assert kinds <= {"str", "str | None"}


def test_a_fact_of_a_later_version_is_left_out() -> None:
    read = Refusal.read(sent(errors.PermissionLacking(permission="models:read"), since="2031", status="200"))
    assert read
    assert (read.error().facts, read.error().status) == ({"permission": "models:read", "key_id": None}, 403)


def test_a_fact_that_is_missing_makes_no_refusal() -> None:
    assert Refusal.read({"hokusai": {"code": "HK1201", "subject": CANDIDATE, "facts": {}}}) is None
