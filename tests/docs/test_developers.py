"""docs/developers.md: its snippets run, its limits are those of the code, and what it calls closed is closed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from hokusai import errors
from hokusai.gateway import ROUTES, RouteTable
from hokusai.settings import Settings
from tests import forked
from tests.docs.test_architecture import code, rows
from tests.docs.test_tutorial import DOCS, script
from tests.serving import Server, environment

PAGE = DOCS / "developers.md"
UNITS = {"GiB": 2**30, "TiB": 2**40, "MiB": 2**20}

#: Words in the table of closed functions, and for each a route of MLflow's that it needs.
CLOSED = {
    "traces": "POST /api/3.0/mlflow/traces",
    "datasets": "POST /api/3.0/mlflow/datasets/create",
    "scorers": "POST /api/3.0/mlflow/scorers/register",
    "labeling": "POST /api/3.0/mlflow/label-schemas/create",
    "jobs": "POST /api/3.0/mlflow/prompt-optimization/jobs",
    "webhooks": "POST /api/2.0/mlflow/webhooks",
    "gateway": "POST /api/3.0/mlflow/gateway/endpoints/create",
    "assistant": "POST /ajax-api/3.0/mlflow/assistant/message",
    "presigned": "POST /api/2.0/mlflow/artifacts/presigned-upload-url",
    "mpu": "POST /api/2.0/mlflow-artifacts/mpu/complete/model.pkl",
    "workspaces": "POST /api/3.0/mlflow/workspaces",
}


@pytest.mark.timeout(300)
def test_the_snippets_work_as_written(server: Server, tmp_path: Path) -> None:
    team = server.workspace("developers")
    text = script(PAGE, tmp_path)
    text = text.replace("https://registry.example.org", server.url).replace("hk_live_YOUR_KEY", team.key)
    given = environment(PATH=forked.path())
    done = subprocess.run(["sh", "-c", text], cwd=tmp_path, env=given, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert (tmp_path / "pulled" / "MLmodel").exists()
    assert re.search(r"^workspace +developers$", done.stdout, re.MULTILINE)
    assert said(done.stdout) == said(PAGE.read_text())


def said(text: str) -> list[str]:
    """The refusal that the page shows, without the id of its request."""
    return re.findall(r"^(PERMISSION_DENIED: .*) \(request", text, re.MULTILINE)


def test_the_limits_are_those_of_the_settings_and_errors() -> None:
    listed = rows(PAGE, "| limit | default |")
    assert len(listed) == 12
    for limit, default, setting, answer in listed:
        (name,) = code(setting)
        value = Settings.model_fields[name.removeprefix("HOKUSAI_").lower()].default
        assert amount(default) == value, limit
        status, number = re.findall(r"^(\d+) \[(HK\d+)\]", answer)[0]
        (row,) = (row for row in errors.rows() if row.code == number)
        assert row.status == int(status), limit


def amount(text: str) -> int | str:
    number, unit = re.findall(r"^([\d,]+)[ /]?(\w*)", text)[0]
    count = int(number.replace(",", ""))
    if unit in {"second", "minute", "hour"}:
        return f"{count}/{unit}"
    return count * UNITS.get(unit, 1)


@pytest.mark.parametrize(("word", "route"), CLOSED.items())
def test_what_the_page_calls_closed_is_closed(word: str, route: str) -> None:
    assert any(re.search(rf"\b{word}\b", row[0]) for row in rows(PAGE, "| closed |")), word
    method, _, path = route.partition(" ")
    assert RouteTable(ROUTES).find(method, path) is None


def test_the_first_screen_says_what_is_open_and_what_is_closed() -> None:
    lines = PAGE.read_text().splitlines()
    assert lines.index("## Connect") < 40
    readme = (DOCS.parent / "README.md").read_text().splitlines()
    assert any("docs/developers.md" in line for line in readme[:45])
