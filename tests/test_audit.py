"""The audit trail of a running server: floods, subjects, downloads, who may search it, and the command."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import hokusai as hokusai
from tests.serving import Server, Team, environment, serving
from tests.serving import hokusai as command

V2 = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture(scope="module")
def acme(server: Server) -> Team:
    return server.workspace("audit-acme", permissions=["admin"])


def found(server: Server, key: str | None = None, *, until: int = 1, **query: Any) -> list[dict[str, Any]]:
    """Rows of a search, the oldest first; waits until there are ``until``."""
    end = time.monotonic() + 10
    with server.http(key) as http:
        while True:
            answer = http.get("/api/v1/audit", params={"order": "oldest", **query})
            assert answer.status_code == 200, answer.text
            rows: list[dict[str, Any]] = answer.json()["rows"]
            if len(rows) >= until or time.monotonic() > end:
                return rows
            time.sleep(0.1)


def test_a_flood_of_refusals_makes_a_handful_of_rows(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        with server.stranger(1) as stranger:
            for number in range(1000):
                assert stranger.get(f"/nothing/{number}?q={'x' * 300}").status_code == 401
            assert stranger.get("/api/v1/keys", headers={"X-API-Key": "hk_live_no"}).status_code == 401
            # The operator sees it within seconds.
            assert found(server, action="key.list")[0]["code"] == "HK1102"
        server.stop()
        with closing(sqlite3.connect(tmp_path / "data" / "hokusai.db")) as database:
            rows = database.execute(
                "SELECT code, times, details FROM hokusai_audit WHERE key_id IS NULL ORDER BY id"
            ).fetchall()
        assert sum(times for code, times, _ in rows if code == "HK1101") == 1000
        assert len(rows) <= 4
        assert len(server.audit()) <= 8
        assert "xxx" not in json.dumps([*rows, *server.audit()])


def test_a_change_names_its_subject(server: Server, acme: Team) -> None:
    with server.http(acme.key) as http:
        experiment = http.post(f"{V2}/experiments/create", json={"name": "subjects"}).json()["experiment_id"]
        run = http.post(f"{V2}/runs/create", json={"experiment_id": experiment}).json()["run"]["info"]
        path = f"{run['experiment_id']}/{run['run_id']}/artifacts/model/weights.bin"
        assert http.put(f"{FILES}/{path}", content=b"x" * 1000).is_success
        assert http.post(f"{V2}/registered-models/create", json={"name": "churn"}).is_success
        for _ in range(2):
            made = http.post(
                f"{V2}/model-versions/create",
                json={"name": "churn", "source": f"runs:/{run['run_id']}/model", "run_id": run["run_id"]},
            )
            assert made.is_success, made.text
        alias = {"name": "churn", "alias": "champion", "version": "2"}
        assert http.post(f"{V2}/registered-models/alias", json=alias).is_success
        key = http.post("/api/v1/keys", json={"name": "ci", "permissions": ["read"], "expires": "1d"}).json()
        assert http.post(f"/api/v1/keys/{key['key_id']}/rotate", json={}).is_success
        listed = [http.get("/api/v1/keys") for _ in range(3)]
        assert listed[0].is_success
        for start in range(4):
            assert http.get(f"{FILES}/{path}", headers={"Range": f"bytes={start * 100}-{start * 100 + 99}"}).is_success
    rows = found(server, acme.key, subject="churn", until=4)
    assert [(row["action"], row["subject_type"], row["subject"]) for row in rows] == [
        ("model.create", "model", "churn"),
        ("version.create", "version", "churn/1"),
        ("version.create", "version", "churn/2"),
        ("alias.set", "alias", "churn@champion"),
    ]
    assert rows[1]["details"]["source"] == f"runs:/{run['run_id']}/model"
    assert rows[3]["details"]["version"] == "2"
    assert found(server, acme.key, subject=f"run:{run['run_id']}")[0]["action"] == "run.create"
    (upload,) = found(server, acme.key, subject=path, action="artifact.upload")
    assert (upload["bytes"], upload["user_id"], upload["workspace"]) == (1000, "test", "audit-acme")
    (download,) = found(server, acme.key, subject=path, action="artifact.download")
    assert (download["times"], download["bytes"]) == (1, 100)
    made_key, rotated = found(server, acme.key, subject=key["key_id"], until=2)
    assert made_key["details"]["workspace"] == "audit-acme"
    assert "models:read" in made_key["details"]["permissions"]
    assert (rotated["action"], rotated["within"]) == ("key.rotate", key["key_id"])
    assert found(server, acme.key, action="key.list")
    assert key["key"] not in json.dumps(found(server))


def test_the_rest_of_a_download_is_one_row(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        team = server.workspace("acme")
        with server.http(team.key) as http:
            assert http.put(f"{FILES}/big.bin", content=b"x" * 1000).is_success
            for start in range(10):
                assert http.get(f"{FILES}/big.bin", headers={"Range": f"bytes={start * 100}-"}).status_code == 206
        server.stop()
        lines = [line for line in server.audit() if line["action"] == "artifact.download"]
        assert [(line["times"], line["bytes"], line["subject"]) for line in lines] == [
            (1, 1000, "big.bin"),
            (9, sum(range(100, 1000, 100)), "big.bin"),
        ]


def test_a_workspace_sees_its_own_rows(server: Server, acme: Team) -> None:
    other = server.workspace("audit-other", permissions=["admin"])
    writer = server.key("audit-other", permissions=["write"])
    with server.http(other.key) as http:
        assert http.post(f"{V2}/registered-models/create", json={"name": "theirs"}).is_success
        refused = http.get("/api/v1/audit", params={"workspace": "audit-acme"})
        assert (refused.status_code, refused.json()["hokusai"]["code"]) == (404, "HK2001")
    with server.http(writer.key) as http:
        assert http.get("/api/v1/audit").status_code == 403
    mine = found(server, other.key, until=3)
    assert {row["workspace"] for row in mine} == {"audit-other"}
    assert found(server, workspace="audit-other")
    assert found(server, acme.key, subject="theirs", until=0) == []
    # What the operator did in this workspace belongs to its trail; from where is not told.
    created = next(row for row in mine if row["action"] == "workspace.create")
    assert (created["subject"], created["address"]) == ("audit-other", None)
    assert "agent" not in created["details"]
    (seen,) = found(server, subject="workspace:audit-other", action="workspace.create")
    assert seen["address"] == "127.0.0.1"


@pytest.mark.parametrize(
    "query",
    [
        {"since": "yesterday"},
        {"until": "99999d"},
        {"action": "key.steal"},
        {"limit": 0},
        {"limit": 1001},
        {"page_token": "x"},
        {"page_token": "2026-01-01,-1"},
        {"page_token": "2026-01-01," + "9" * 30},
        {"order": "random"},
        {"subject": "x" * 2000},
        {"what": "1"},
    ],
)
def test_a_search_that_cannot_be_read_is_refused(server: Server, query: dict[str, Any]) -> None:
    with server.http() as http:
        answer = http.get("/api/v1/audit", params=query)
    assert answer.status_code == 400, answer.text


@pytest.fixture
def audit(hokusai, server: Server, acme: Team):
    def run(*arguments: str, key: str = acme.key):
        return hokusai("audit", *arguments, url=server.url, key=key)

    return run


def test_the_command_searches_and_exports(audit, server: Server, acme: Team) -> None:
    with server.http(acme.key) as http:
        for name in ("=cmd()", "b"):
            assert http.post(f"{V2}/registered-models/create", json={"name": name}).is_success
    assert found(server, acme.key, subject="b")
    ran = audit("--action", "model.create", "--since", "1h", "--json")
    assert ran.code == 0, ran.err
    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert [row["subject"] for row in rows][-2:] == ["=cmd()", "b"]
    assert {row["action"] for row in rows} == {"model.create"}
    table = list(csv.DictReader(io.StringIO(audit("--action", "model.create", "--csv").out)))
    assert [row["subject"] for row in table][-2:] == ["'=cmd()", "b"]
    assert table[-1]["request_id"] == rows[-1]["request_id"]
    text = audit("--subject", "model:b").out.splitlines()
    assert text[0].split()[:2] == ["AT", "(UTC)"]
    assert "model b" in text[1]
    newest = audit("--limit", "1", "--action", "model.create")
    assert len(newest.out.splitlines()) == 2
    assert "there are more" in newest.err
    assert audit("--subject", "nobody").out == ""
    assert "No rows fit" in audit("--subject", "nobody").err
    request = rows[-1]["request_id"]
    assert request in audit("--request", request).out


@pytest.mark.parametrize(
    "arguments",
    [
        ("--action", "key.steal"),
        ("--since", "yesterday"),
        ("--json", "--csv"),
        ("--follow", "--until", "1h"),
        ("--limit", "-1"),
    ],
)
def test_wrong_usage_of_the_command_ends_with_2(audit, arguments: tuple[str, ...]) -> None:
    assert audit(*arguments).code == 2


@pytest.fixture
def following(server: Server, acme: Team) -> Iterator[subprocess.Popen[str]]:
    settings = {"HOKUSAI_URL": server.url, "HOKUSAI_API_KEY": acme.key, "PYTHONUNBUFFERED": "1"}
    arguments = command("audit", "--follow", "--json", "--action", "model.create", "--limit", "1")
    with subprocess.Popen(arguments, env=environment(**settings), stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.terminate()


def test_following_prints_each_row_once(server: Server, acme: Team, following: subprocess.Popen[str]) -> None:
    assert following.stdout is not None
    with server.http(acme.key) as http:
        http.post(f"{V2}/registered-models/create", json={"name": "followed-0"})
        json.loads(following.stdout.readline())  # the last one of before: now it follows
        for number in range(1, 4):
            assert http.post(f"{V2}/registered-models/create", json={"name": f"followed-{number}"}).is_success
            subject = ""
            while subject != f"followed-{number}":
                assert subject in {"", "followed-0"}
                subject = json.loads(following.stdout.readline())["subject"]


def test_the_row_of_a_change_is_there_before_its_answer(tmp_path: Path) -> None:
    """Whatever is killed after the answer: nothing waits to be written."""
    with serving(tmp_path / "data") as server, closing(sqlite3.connect(tmp_path / "data" / "hokusai.db")) as database:
        team = server.workspace("acme", permissions=["admin"])

        def row_of(answer: Any) -> tuple[Any, ...]:
            query = "SELECT action, status FROM hokusai_audit WHERE request_id = ?"
            found = database.execute(query, (answer.headers["x-request-id"],)).fetchall()
            assert len(found) == 1, (answer.request.url, found)
            return tuple(found[0])

        with server.http(team.key) as http, server.http() as operator:
            made = http.post(f"{V2}/experiments/create", json={"name": "first"})
            run = http.post(f"{V2}/runs/create", json={"experiment_id": made.json()["experiment_id"]})
            run_id = run.json()["run"]["info"]["run_id"]
            metric = {"run_id": run_id, "key": "loss", "value": 1, "timestamp": 1, "step": 0}
            file = f"{FILES}/{made.json()['experiment_id']}/{run_id}/artifacts/model/weights.bin"
            key = http.post("/api/v1/keys", json={"name": "ci", "permissions": ["read"], "expires": "1d"})
            answers = {
                "experiment.create": made,
                "run.create": run,
                "run.log": http.post(f"{V2}/runs/log-metric", json=metric),
                "artifact.upload": http.put(file, content=b"x" * 1000),
                "artifact.delete": http.delete(file),
                "model.create": http.post(f"{V2}/registered-models/create", json={"name": "churn"}),
                "key.create": key,
                "key.revoke": http.delete(f"/api/v1/keys/{key.json()['key_id']}"),
                "workspace.create": operator.post("/api/v1/workspaces", json={"name": "beta"}),
            }
            assert {name: row_of(answer) for name, answer in answers.items()} == {
                name: (name, answer.status_code) for name, answer in answers.items()
            }
            refused = http.post(f"{V2}/registered-models/create", json={"name": "churn"})
            assert refused.status_code == 409
            end = time.monotonic() + 10
            while database.execute("SELECT * FROM hokusai_audit_begun").fetchall():
                assert time.monotonic() < end
        lines = [line["request_id"] for line in server.audit()]
        assert sorted(set(lines)) == sorted(lines)


def test_a_change_whose_row_waits_for_the_database_is_remembered(tmp_path: Path) -> None:
    """The row waits in memory, which a kill ends: that the change began is what is left of it."""
    with serving(tmp_path / "data") as server, closing(sqlite3.connect(tmp_path / "data" / "hokusai.db")) as database:
        team = server.workspace("acme")
        database.execute("ALTER TABLE hokusai_audit RENAME TO hokusai_audit_away")
        with server.http(team.key) as http:
            made = [http.post(f"{V2}/registered-models/create", json={"name": name}) for name in ("one", "two")]
        with server.http() as operator:
            grant = {"name": "ci", "workspace": "acme", "permissions": ["read"]}
            made.append(operator.post("/api/v1/keys", json=grant))
        assert [answer.status_code for answer in made] == [200, 200, 201]
        server.process.kill()
        server.process.wait(10)
        begun = dict(database.execute("SELECT request_id, entry FROM hokusai_audit_begun"))
        assert [json.loads(begun[answer.headers["x-request-id"]])["workspace"] for answer in made] == ["acme"] * 3
