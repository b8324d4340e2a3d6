"""A healthy deployment: every check passes, no fault is named, and nothing is left behind."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from hokusai.doctor import CHECKS, Report, Target, chosen, examine, markdown
from lab.parts import hanging_port
from tests.serving import Server, serving

pytestmark = pytest.mark.process

#: What is not looked at unless more is given.
_NOT_ASKED = {"tls", "clear-text", "auth-host", "registry-host", "release", "log"}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> object:
    with serving(tmp_path_factory.mktemp("own") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def report(own: Server) -> Report:
    team = own.workspace("healthy")
    return asyncio.run(examine(Target(url=own.url, key=team.key, operator_key=own.operator_key)))


def test_a_healthy_deployment_is_proven(report: Report) -> None:
    assert report.ok, report.document()
    assert report.diagnosis == ()
    assert {one.check.id for one in report.having("skip")} == _NOT_ASKED


def test_the_round_was_made_with_the_stock_client(report: Report) -> None:
    evidence = next(one.outcome.evidence for one in report.results if one.check.id == "stock-client")
    assert evidence.startswith("mlflow 3.17.")
    assert "predict" in evidence


def test_nothing_is_left_behind(report: Report, own: Server) -> None:
    team = own.key("healthy", permissions=["admin"])
    with own.http(team.key) as http:
        assert http.get("/api/2.0/mlflow/registered-models/search").json() == {}
        found = http.get("/api/2.0/mlflow/experiments/search", params={"max_results": 10}).json()
        assert [one["name"] for one in found.get("experiments", [])] == []
        assert http.get("/api/2.0/mlflow-artifacts/artifacts").json()["files"] == []
    with own.http() as http:
        keys = http.get("/api/v1/keys", params={"limit": 100}).json()["keys"]
        mine = [one for one in keys if one["name"].startswith("hokusai-doctor-")]
        assert mine
        assert all(one["revoked_at"] for one in mine)


def test_the_json_document_has_its_shape(report: Report) -> None:
    document = report.document()
    assert list(document) == ["target", "version", "ok", "checks", "diagnosis"]
    assert {tuple(one) for one in document["checks"]} == {
        ("id", "title", "layer", "status", "evidence", "seconds", "reason")
    }


def test_the_junit_file_can_be_read(report: Report) -> None:
    root = Xml.fromstring(report.junit())
    assert len(root.findall(".//testcase")) == len(report.results)
    assert not root.findall(".//failure")
    assert len(root.findall(".//skipped")) == len(_NOT_ASKED)


def test_the_markdown_report_has_the_shape_people_know(report: Report) -> None:
    text = markdown(report)
    for heading in ("## Summary", "## What works ✅", "## Results"):
        assert heading in text
    assert "BLOCKED" not in text


async def test_the_markdown_report_of_a_broken_one_names_cause_and_next_command(own: Server) -> None:
    target = Target(url=own.url, key=own.key("healthy", permissions=["read"]).key)
    text = markdown(await examine(target, chosen(CHECKS, ["rights"])))
    for part in (
        "❌ BLOCKED",
        "## What blocks ❌",
        "## Root cause",
        "key-lacks-permission",
        "## What to run next",
        "```bash",
        "| auth | ❌ 1 of 2 passed | key-lacks-permission |",
    ):
        assert part in text


async def test_no_key_is_never_a_pass(own: Server) -> None:
    report = await examine(Target(url=own.url))
    assert not report.ok
    assert {"key", "bearer", "tracking", "reload"} <= {one.check.id for one in report.having("skip")}


async def test_a_write_key_alone_says_what_stays(own: Server) -> None:
    key = own.workspace("alone").key
    report = await examine(Target(url=own.url, key=key), chosen(CHECKS, ["register"]))
    assert report.ok
    assert any("models:delete" in one for one in report.left_behind)


async def test_a_dead_target_is_answered_within_ten_seconds() -> None:
    started = time.monotonic()
    report = await examine(Target(url="http://127.0.0.1:9"))
    assert time.monotonic() - started < 10
    assert not report.reached
    assert report.diagnosis[0].fault.id == "target-refused"


async def test_a_silent_target_is_answered_within_ten_seconds() -> None:
    with hanging_port() as port:
        started = time.monotonic()
        report = await examine(Target(url=f"http://127.0.0.1:{port}", key="hk_live_x", operator_key="hk_live_y"))
    assert time.monotonic() - started < 10
    assert report.diagnosis[0].fault.id == "upstream-timeout"


async def test_logs_name_their_codes_without_keys(tmp_path: Path) -> None:
    log = "CRITICAL HK6005 the schema is newer. key hk_live_" + "x" * 38 + "\n"
    report = await examine(Target(url="http://127.0.0.1:9", log=log))
    assert report.diagnosis[0].fault.id == "schema-newer"
    assert "hk_live_x" not in str(report.document())


async def test_an_empty_log_proves_nothing() -> None:
    report = await examine(Target(url="http://127.0.0.1:9", log="\n"), chosen(CHECKS, ["log"]))
    assert not report.ok
    assert [one.reason for one in (result.outcome for result in report.results)] == ["the log is empty"]
