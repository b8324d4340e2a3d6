"""``hokusai doctor`` as people and pipelines run it."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from xml.etree import ElementTree as Xml

from hokusai.doctor import CHECKS
from tests.cli.conftest import Hokusai
from tests.serving import Server, environment, hears_ctrl_c, run_hokusai
from tests.serving import hokusai as command


def doctor(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return run_hokusai("doctor", *arguments, **variables)


def test_the_checks_are_listed(hokusai: Hokusai) -> None:
    listed = hokusai("doctor", "--list", "--json").json["checks"]
    assert [one["id"] for one in listed] == [one.id for one in CHECKS]
    assert "artifact-large" in hokusai("doctor", "--list").out


def test_a_good_answer_ends_with_0(server: Server) -> None:
    team = server.workspace("good-patient")
    ran = doctor(server.url, "--only", "bearer", "--json", HOKUSAI_API_KEY=team.key)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads(ran.stdout)["ok"] is True
    assert team.key not in ran.stdout


def test_a_failed_check_ends_with_1_and_is_explained(server: Server, tmp_path: Path) -> None:
    key = server.workspace("weak-patient", permissions=["read"]).key
    files = ("--junit", str(tmp_path / "r.xml"), "--markdown", str(tmp_path / "r.md"))
    ran = doctor(server.url, "--only", "rights", *files, HOKUSAI_API_KEY=key)
    assert ran.returncode == 1
    assert "key-lacks-permission" in ran.stdout
    assert "what to do" in ran.stdout
    assert Xml.fromstring((tmp_path / "r.xml").read_text()).findall(".//failure")
    assert "key-lacks-permission" in (tmp_path / "r.md").read_text()
    assert key not in ran.stdout + ran.stderr + (tmp_path / "r.md").read_text() + (tmp_path / "r.xml").read_text()


def test_what_matters_and_was_skipped_ends_with_1(server: Server) -> None:
    ran = doctor(server.url, "--only", "bearer", "--json")
    assert ran.returncode == 1
    assert json.loads(ran.stdout)["diagnosis"] == []


def test_nobody_there_ends_with_3() -> None:
    ran = doctor("http://127.0.0.1:9", "--json")
    assert ran.returncode == 3
    assert json.loads(ran.stdout)["diagnosis"][0]["fault"] == "target-refused"


def test_wrong_usage_ends_with_2(hokusai: Hokusai) -> None:
    assert hokusai("doctor", "--only", "no-such-check", url="http://127.0.0.1:9").code == 2
    assert hokusai("doctor").code == 2  # no URL
    assert hokusai("doctor", "ftp://x").code == 2
    assert hokusai("doctor", "http://127.0.0.1:9", "--log", "/no/such/file").code == 2
    assert hokusai("doctor", "http://127.0.0.1:9", "--python", "/no/such/python").code == 2


def test_a_report_that_cannot_be_written_is_still_shown(hokusai: Hokusai) -> None:
    ran = hokusai("doctor", "http://127.0.0.1:9", "--only", "dns", "--json", "--junit", "/no/such/directory/r.xml")
    assert ran.code == 2
    assert ran.json["diagnosis"][0]["fault"] == "target-refused"


def test_ctrl_c_takes_away_what_was_made(server: Server) -> None:
    team = server.workspace("interrupted", permissions=["admin"])
    process = subprocess.Popen(
        command("doctor", server.url, "--only", "artifact-slow"),
        env=environment(HOKUSAI_API_KEY=team.key),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=hears_ctrl_c,  # noqa: PLW1509 - nothing else runs here
    )
    experiments = "/api/2.0/mlflow/experiments/search"
    with server.http(team.key) as http:
        end = time.monotonic() + 60
        while not http.get(experiments, params={"max_results": 5}).json().get("experiments"):
            assert time.monotonic() < end
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said = b"".join(process.communicate(timeout=30)).decode()
        assert process.returncode != 0
        assert team.key not in said
        assert "Traceback" not in said
        assert not http.get(experiments, params={"max_results": 5}).json().get("experiments")
        assert http.get("/api/2.0/mlflow-artifacts/artifacts").json()["files"] == []
