"""End to end against a running server: a working session, command by command."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Hokusai, Ran
from tests.serving import Server


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_text("flavors: {}\n")
    (tmp_path / "model" / "we ird.bin").write_bytes(b"\x00" * 2_000_000)
    return tmp_path / "model"


@pytest.fixture
def operate(hokusai: Hokusai, server: Server):
    """A command with the operator key that must go well."""

    def run(*arguments: str) -> Ran:
        return fine(hokusai(*arguments, url=server.url, key=server.operator_key))

    return run


def fine(ran: Ran) -> Ran:
    assert ran.code == 0, ran.err
    return ran


def test_a_session(hokusai: Hokusai, operate, server: Server, model: Path, tmp_path: Path) -> None:
    assert operate("workspaces", "create", "cli").out == "cli\n"
    key = operate("keys", "create", "--workspace", "cli", "--name", "ci").out.strip()
    assert key.startswith("hk_live_")

    def team(*arguments: str) -> Ran:
        return hokusai(*arguments, url=server.url, key=key)

    assert shlex.split(fine(team("env")).out) == [
        "export",
        f"MLFLOW_TRACKING_URI={server.url}/api/mlflow",
        "export",
        f"MLFLOW_TRACKING_TOKEN={key}",
    ]
    assert fine(team("register", str(model), "--name", "churn")).out == "models:/churn/1\n"
    second = fine(team("register", str(model), "--name", "churn", "--description", "better", "--json")).json
    assert (second["uri"], second["version"], second["status"]) == ("models:/churn/2", 2, "READY")

    listed = fine(team("models", "list")).out.splitlines()
    assert listed[0].split() == ["NAME", "LATEST", "ALIASES", "CHANGED", "DESCRIPTION"]
    assert listed[1].split()[:2] == ["churn", "2"]
    assert [one["name"] for one in fine(team("models", "list", "--json")).json["models"]] == ["churn"]
    assert "better" in fine(team("models", "show", "churn")).out
    assert [one["version"] for one in fine(team("models", "show", "churn", "--json")).json["versions"]] == [2, 1]

    copy = tmp_path / "copy"
    assert fine(team("pull", "models:/churn/latest", str(copy))).out == f"{copy}\n"
    assert (copy / "we ird.bin").read_bytes() == (model / "we ird.bin").read_bytes()
    again = team("pull", "models:/churn/1", str(copy))
    assert (again.code, again.out) == (2, "")
    assert again.err.startswith("HK7010")

    absent = team("pull", "models:/churn/9", str(tmp_path / "nine"), "--json")
    assert (absent.code, absent.out) == (1, "")
    assert absent.err.startswith("HK3005")
    assert "request id" in absent.err
    assert not (tmp_path / "nine").exists()


def test_keys(hokusai: Hokusai, operate, server: Server) -> None:
    operate("workspaces", "create", "cli-keys")
    made = operate("keys", "create", "--workspace", "cli-keys", "--name", "ci", "--permissions", "read", "--json").json
    shown = operate("keys", "show", made["key_id"]).out
    assert "cli-keys" in shown
    assert made["key"] not in shown
    listed = operate("keys", "list", "--workspace", "cli-keys").out.splitlines()
    assert listed[1].split()[:4] == [made["key_id"], "ci", "cli-keys", "active"]
    own = fine(hokusai("keys", "show", "--json", url=server.url, key=made["key"])).json
    assert own["key_id"] == made["key_id"]

    renewed = operate("keys", "rotate", made["key_id"], "--overlap", "1h", "--json").json
    assert renewed["key"] != made["key"]
    assert operate("keys", "show", made["key_id"], "--json").json["rotated_to"] == renewed["key_id"]
    assert operate("keys", "revoke", renewed["key_id"]).out == f"Revoked {renewed['key_id']} (ci).\n"
    refused = hokusai("models", "list", url=server.url, key=renewed["key"])
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("HK1105")
    assert f"{renewed['key'][:12]}…" in refused.err
    assert renewed["key"] not in refused.err


def test_workspaces(hokusai: Hokusai, operate, server: Server) -> None:
    operate("workspaces", "create", "cli-ws")
    again = hokusai("workspaces", "create", "cli-ws", url=server.url, key=server.operator_key)
    assert again.code == 1
    assert again.err.startswith("HK2002")
    assert "cli-ws" in operate("workspaces", "list").out
    assert operate("workspaces", "suspend", "cli-ws", "--json").json["suspended_at"]
    assert "suspended" in operate("workspaces", "show", "cli-ws").out
    assert operate("workspaces", "resume", "cli-ws", "--json").json["suspended_at"] is None
    names = [one["name"] for one in operate("workspaces", "list", "--json").json["workspaces"]]
    assert "cli-ws" in names


def test_a_mistyped_key(hokusai: Hokusai, server: Server) -> None:
    key = server.workspace("cli-typo").key
    typo = key[:20] + ("a" if key[20] != "a" else "b") + key[21:]
    ran = hokusai("register", __file__, "--name", "m", url=server.url, key=typo)
    assert (ran.code, ran.out) == (1, "")
    lines = ran.err.splitlines()
    assert lines[0].startswith("HK1102  gateway: ")
    assert [line[:12].strip() for line in lines[1:]] == ["what to do", "your key", "server", "request id"]
    assert typo not in ran.err


def test_what_a_workspace_may_have(hokusai: Hokusai, operate, server: Server) -> None:
    made = operate("workspaces", "create", "cli-quota", "--max-bytes", "10GiB", "--rate", "20/s", "--json").json
    assert made["quota"] == {"bytes": 10 * 2**30, "files": None, "models": None, "requests_per_hour": 72_000}
    operate("workspaces", "set", "cli-quota", "--max-files", "5", "--max-models", "0", "--rate", "default")
    found = operate("workspaces", "show", "cli-quota", "--json").json
    assert found["quota"] == {"bytes": 10 * 2**30, "files": 5, "models": 0, "requests_per_hour": None}
    assert found["use"] == {"bytes": 0, "files": 0, "models": 0, "tracking_bytes": 0, "names": 0}
    shown = operate("workspaces", "show", "cli-quota").out
    assert "0 of 10,737,418,240" in shown
    assert "the server's" in shown
    for wrong in (("--max-bytes", "10 apples"), ("--max-files", "-1"), ("--rate", "fast"), ()):
        ran = hokusai("workspaces", "set", "cli-quota", *wrong, url=server.url, key=server.operator_key)
        assert (ran.code, ran.out) == (2, ""), wrong


def test_the_end_of_a_workspace(hokusai: Hokusai, operate, server: Server) -> None:
    team = server.workspace("cli-gone")
    ran = hokusai("workspaces", "delete", "cli-gone", url=server.url, key=server.operator_key)
    assert ran.code == 2
    assert "--yes" in ran.err
    assert hokusai("models", "list", url=server.url, key=team.key).code == 0
    assert "cli-gone" in operate("workspaces", "delete", "cli-gone", "--yes").out
    assert "HK1105" in hokusai("models", "list", url=server.url, key=team.key).err
    assert "HK2011" in hokusai("workspaces", "create", "cli-gone", url=server.url, key=server.operator_key).err
    assert "deleted" in operate("workspaces", "show", "cli-gone").out


def test_protected_aliases(hokusai: Hokusai, operate, server: Server, model: Path) -> None:
    """From the command to a refusal of a key that may write, and back."""
    made = operate("workspaces", "create", "cli-aliases", "--protected-aliases", "production, champion", "--json").json
    assert made["protected_aliases"] == ["production", "champion"]
    assert "production, champion" in operate("workspaces", "show", "cli-aliases").out
    writer = server.key("cli-aliases")
    fine(hokusai("register", str(model), "--name", "m", url=server.url, key=writer.key))
    alias = {"name": "m", "alias": "production", "version": "1"}
    path = "/api/2.0/mlflow/registered-models/alias"
    with server.http(writer.key) as http:
        assert http.post(path, json=alias).json()["hokusai"]["code"] == "HK1075"
        promoter = server.key("cli-aliases", permissions=["write", "models:promote"])
        with server.http(promoter.key) as releases:
            assert releases.post(path, json=alias).status_code == 200
        assert http.request("DELETE", path, json=alias).status_code == 403
        cleared = operate("workspaces", "set", "cli-aliases", "--protected-aliases", "none", "--json").json
        assert cleared["protected_aliases"] == []
        assert http.request("DELETE", path, json=alias).status_code == 200
    for wrong in ("a b", "größe", ""):
        ran = hokusai("workspaces", "set", "cli-aliases", "--protected-aliases", wrong, url=server.url)
        assert (ran.code, ran.out) == (2, "")
