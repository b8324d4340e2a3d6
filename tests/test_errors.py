"""Every error: one shape, its own code, a remedy, and an ``error_code`` that MLflow's clients know."""

import json
import re
import string
from pathlib import Path

import pytest

from hokusai import errors

ROWS = list(errors.rows())


def test_codes_are_unique() -> None:
    codes = [row.code for row in ROWS]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.code)
def test_a_row_is_complete(row: type[errors.HokusaiError]) -> None:
    assert re.fullmatch(r"HK\d{4}", row.code)
    if row is errors.PartsNotOffered:  # it begins as MLflow's clients expect
        return
    layer = row.message.partition(":")[0]
    layers = {"auth", "gateway", "tracking", "artifacts", "database", "start", "backup", "client", "deploy", "{layer}"}
    assert layer in layers, row.message
    assert row.message.endswith((".", "}"))
    assert row.remedy


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.code)
def test_the_shape_is_the_one_shape(row: type[errors.HokusaiError]) -> None:
    names = {name for _, name, _, _ in string.Formatter().parse(row.message + row.remedy) if name}
    error = row(**{name: f"<{name}>" for name in names})
    found = json.loads(error.body("id-1"))
    assert set(found) == {"error_code", "message", "hokusai"}
    assert set(found["hokusai"]) == {"code", "remedy", "request_id"}
    assert found["message"].startswith(str(error))
    assert "{" not in found["message"]


def test_every_error_code_is_in_mlflows_vocabulary() -> None:
    """A client of 2.9 fails on an ``error_code`` that it does not know."""
    from mlflow.protos.databricks_pb2 import ErrorCode

    assert {row.error_code for row in ROWS} <= set(ErrorCode.keys())


def test_statuses_mean_one_thing_each() -> None:
    families = {400: errors.BadRequest, 401: errors.Unauthorized, 403: errors.Forbidden, 404: errors.NotFound}
    families |= {409: errors.Conflict, 413: errors.TooLarge, 429: errors.TooMany, 503: errors.Unavailable}
    for row in ROWS:
        if row.status in families:
            assert issubclass(row, families[row.status]), row


def test_refusals_that_pass_say_when_to_come_back() -> None:
    for row in ROWS:
        if row.status in {429, 503}:
            assert row.retry_after, row


def test_errors_are_defined_in_one_package() -> None:
    package = Path(errors.__file__).parent
    elsewhere = [
        path
        for path in package.parent.rglob("*.py")
        if path.parent != package and re.search(r'code="HK\d', path.read_text())
    ]
    assert elsewhere == []


def test_a_code_range_is_in_one_module() -> None:
    ranges: dict[str, set[str]] = {}
    for row in ROWS:
        ranges.setdefault(row.code[:4], set()).add(row.__module__)
    assert {code: modules for code, modules in ranges.items() if len(modules) > 1} == {}
