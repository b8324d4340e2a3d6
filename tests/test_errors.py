"""Every error: one shape, its own code, a remedy, and an ``error_code`` that MLflow's clients know."""

import json
import re
import string
from pathlib import Path

import pytest

from hokusai import errors

ROWS = list(errors.rows())

#: Facts that no text shows, and what they are for.
UNSAID = {
    "key_id": "whose failed attempts are counted",
    "quota": "RateLimit-Policy",
    "window": "RateLimit-Policy",
    "retry_after": "Retry-After",
    "temporary": "by which a start tells what it waits for",
    "kind": "AWS's code, by which a release tells what is missing from what is broken",
}


def made(row: type[errors.HokusaiError]) -> errors.HokusaiError:
    """One of this kind, with numbers for facts: they fit every text."""
    return row.of(dict.fromkeys(row.fact_names, 1))


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
    error = made(row)
    found = json.loads(error.body("id-1"))
    assert set(found) == {"error_code", "message", "hokusai"}
    assert set(found["hokusai"]) == {"code", "remedy", "request_id"}
    assert found["message"] == f"{error} {error.advice} (request id-1)"
    assert "{" not in found["message"]
    assert all(isinstance(value, bytes) for header in error.headers() for value in header)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.code)
def test_texts_are_made_from_declared_facts(row: type[errors.HokusaiError]) -> None:
    """Every ``{name}`` is declared; what is declared is used, or stands in ``UNSAID`` with its reason."""
    used = {name for _, name, _, _ in string.Formatter().parse(row.message + row.remedy) if name}
    declared = set(row.fact_names)
    assert used <= declared
    assert declared - used <= set(UNSAID)


def test_no_reason_outlives_its_fact() -> None:
    assert set(UNSAID) <= {name for row in ROWS for name in row.fact_names}


def test_an_error_is_made_again_from_its_facts() -> None:
    facts = {"permission": "models:read", "key_id": "key_1", "since": "a later version"}
    error = errors.PermissionLacking.of(facts)
    assert error.facts == {"permission": "models:read", "key_id": "key_1"}
    assert str(error) == str(errors.PermissionLacking(permission="models:read"))
    with pytest.raises(AttributeError):
        errors.PermissionLacking.of({})


def test_a_fact_that_is_not_declared_is_refused_at_run_time_too() -> None:
    with pytest.raises(TypeError, match="PermissionLacking has no fact message, status"):
        errors.PermissionLacking(permission="p", status=200, message="m")  # type: ignore[call-arg]


def test_one_error_may_differ_from_its_family() -> None:
    error = errors.TrackingRefused(reason="no", error_code="INVALID_STATE", retry_after=7)
    assert (error.error_code, error.retry_after) == ("INVALID_STATE", 7)
    assert (b"retry-after", b"7") in error.headers()
    assert errors.TrackingRefused(reason="no").error_code == "INVALID_PARAMETER_VALUE"


def test_a_key_among_the_facts_is_masked() -> None:
    key = "hk_live_" + "a" * 38
    error = errors.PathUnusable(path=Path(key), reason=f"it holds {key}")
    assert key not in f"{error} {error.reason} {error.advice}"


def test_a_class_that_is_raised_uncalled_needs_no_facts() -> None:
    """``raise errors.X`` is the one way past the type checker, which does not see that this calls X."""
    source = Path(errors.__file__).parent.parent
    uncalled = {
        name for path in source.rglob("*.py") for name in re.findall(r"raise errors\.(\w+)(?![\w(])", path.read_text())
    }
    assert "UrlMissing" in uncalled
    for name in uncalled:
        getattr(errors, name)()


@pytest.mark.process  # importing MLflow starts one
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


def test_the_package_shows_the_tree_of_families() -> None:
    local = {errors.StartError, errors.BackupError, errors.ClientError, errors.DeployError}
    families = [row for row in vars(errors).values() if isinstance(row, type) and issubclass(row, errors.HokusaiError)]
    named = {
        row.__name__: "" if row is errors.Denied else "–" if row in local else str(row.status)
        for row in families
        if not row.code and row is not errors.HokusaiError
    }
    assert dict(re.findall(r"── (\w+) +(\d{3}|–|)  ", str(errors.__doc__))) == named


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
