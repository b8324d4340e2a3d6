"""``hokusai deploy aws`` as people and pipelines run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hokusai.apikey import mint
from hokusai.cli.deploy import prove
from hokusai.deploy import Deployed, Engine
from hokusai.errors import EngineFailed, EngineMissing
from tests.cli.conftest import Hokusai, hokusai  # noqa: F401  (a fixture)
from tests.deploy.cloud import Checkout, Cloud, RecordingEngine
from tests.serving import hears_ctrl_c
from tests.serving import hokusai as command


class Shell:
    """Where the commands run: the options that they need here."""

    def __init__(self, cloud: Cloud, checkout: Checkout, engine: RecordingEngine, path: Path) -> None:
        self.cloud, self.checkout, self.engine = cloud, checkout, engine
        self.records = path / "releases"
        given = {**cloud.parameters(), "RegistryHost": "registry.invalid", "AuthHost": "auth.invalid"}
        self.parameters = [f"--set={name}={value}" for name, value in given.items()]

    @property
    def options(self) -> list[str]:
        where = ["--source", str(self.checkout.path), "--records", str(self.records), "--engine", self.engine.command]
        return [*where, *self.parameters]


@pytest.fixture
def shell(cloud: Cloud, checkout: Checkout, engine: RecordingEngine, tmp_path: Path) -> Shell:
    return Shell(cloud, checkout, engine, tmp_path)


def test_a_release_that_nobody_reaches_is_taken_back_and_explained(
    hokusai: Hokusai,  # noqa: F811
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The real doctor, which does not find the host; what ran before, nothing, runs again."""
    monkeypatch.setenv("ENVIRONMENT", "staging")
    monkeypatch.delenv("HOKUSAI_API_KEY", raising=False)
    ran = hokusai("deploy", "aws", "up", "--pause=0.01", *shell.options, key="")
    assert ran.code == 1
    assert "HK8019" in ran.err
    assert "✗ Proven by the doctor" in ran.err
    assert "↩ Services updated: rolled back" in ran.err
    assert "name-unresolved" in ran.out
    assert "what to do" in ran.out
    assert "\x1b" not in ran.out + ran.err
    (record,) = shell.records.glob("staging/*.json")
    assert json.loads(record.read_text())["outcome"] == "rolled back"

    status = hokusai("deploy", "aws", "status", "--json").json
    assert [one["desired"] for one in status["services"]] == [0, 0]
    again = hokusai("deploy", "aws", "up", "--pause=0.01", "--json", *shell.options, key="")
    assert again.code == 1
    assert again.json["error"]["code"] == "HK8019"
    assert shell.engine.verbs == ["build", "login", "push"]  # once: it went on where it stopped
    assert [one["name"] for one in again.json["steps"] if one["state"] == "already"] == [
        "stack",
        "keys",
        "build",
        "push",
    ]


def test_a_plan_is_read_before_anything_is_there(hokusai: Hokusai, shell: Shell) -> None:  # noqa: F811
    ran = hokusai("deploy", "aws", "plan", "--environment", "staging", *shell.options)
    assert ran.code == 0
    assert "→ Stack" in ran.out
    assert "create the stack hokusai-staging" in ran.out
    assert "hokusai doctor https://registry.invalid --expect-version 0.1.0" in ran.out
    plan = hokusai("deploy", "aws", "plan", "--environment", "staging", "--json", *shell.options).json
    assert plan["release"].startswith("0.1.0-")


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        ({"AWS_REGION": ""}, "HK8002"),
        ({"ENVIRONMENT": "Not A Name"}, "HK8003"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "HK8004"),
    ],
)
def test_what_is_missing_is_named_with_its_fix(
    hokusai: Hokusai,  # noqa: F811
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    broken: dict[str, str],
    code: str,
) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    files = {name: str(tmp_path / "none") for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")}
    for name, value in {**files, "AWS_EC2_METADATA_DISABLED": "true", **broken}.items():
        monkeypatch.setenv(name, value)
    ran = hokusai("deploy", "aws", "plan", *shell.options)
    assert ran.code == 2
    assert code in ran.err
    assert "what to do" in ran.err


def test_without_boto3_it_says_what_to_install(
    hokusai: Hokusai,  # noqa: F811
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    ran = hokusai("deploy", "aws", "status")
    assert ran.code == 2
    assert "HK8001" in ran.err
    assert "pip install 'hokusai[deploy]'" in ran.err


def test_down_asks_for_the_name(hokusai: Hokusai, shell: Shell) -> None:  # noqa: F811
    assert "HK8008" in hokusai("deploy", "aws", "down", "--environment", "staging", "--yes", "staging").err
    shell.cloud.faults(refuse={"PutSecretValue": 1})
    protected = [*shell.options, "--set=DeletionProtection=true"]
    hokusai("deploy", "aws", "up", "--environment", "staging", "--pause=0.01", *protected)
    for confirmation in ((), ("--yes", "production")):
        ran = hokusai("deploy", "aws", "down", "--environment", "staging", *confirmation)
        assert ran.code == 2
        assert "HK8009" in ran.err
    assert "HK8010" in hokusai("deploy", "aws", "down", "--environment", "staging", "--yes", "staging").err


def test_ctrl_c_ends_it_cleanly(shell: Shell) -> None:
    """The whole group of processes gets the signal, as from a terminal; the engine is in it."""
    shell.engine.breaks("slow build")
    process = subprocess.Popen(
        command("deploy", "aws", "up", "--environment", "staging", "--pause=0.01", *shell.options),
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hears_ctrl_c,  # noqa: PLW1509 - nothing else runs here
    )
    end = time.monotonic() + 60
    while "build" not in shell.engine.verbs and time.monotonic() < end:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "HK8020" in told
    assert "Traceback" not in told
    (record,) = shell.records.glob("staging/*.json")
    assert json.loads(record.read_text())["outcome"] == "stopped"


def test_an_engine_is_looked_for_and_its_words_are_kept(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(shell.engine.command).parent))
    assert Engine().name == "podman"
    shell.engine.breaks("push")
    heard: list[str] = []
    with pytest.raises(EngineFailed, match="no space left"):
        Engine().push("somewhere/image:tag", heard.append)
    assert heard[0] == "step 1 of 1"
    with pytest.raises(EngineMissing):
        Engine("kaniko")


def test_a_password_is_on_no_command_line(shell: Shell) -> None:
    Engine(shell.engine.command).log_in("registry.invalid", user="AWS", password="a-password")
    (call,) = shell.engine.calls
    assert call["given"] == "a-password"
    assert "a-password" not in call["arguments"]


@pytest.mark.process
def test_the_doctor_is_asked_with_the_operators_key() -> None:
    proof = prove(Deployed("http://127.0.0.1:9", "http://127.0.0.1:9", "0.1.0", operator_key=mint("live").text))
    assert proof.ok is False
    assert "target-refused" in proof.cause
    assert proof.cure
    assert proof.document["diagnosis"][0]["fault"] == "target-refused"
