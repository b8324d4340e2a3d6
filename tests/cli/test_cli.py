"""Exit codes of commands, and what they print on which stream, without a real server."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from hokusai import __version__, errors, settings
from hokusai.cli import output
from hokusai.cli.app import exit_code
from tests.cli.conftest import KEY, Hokusai, on_terminal
from tests.client.answering import UNKNOWN_KEY, Reply, Request, answering
from tests.client.test_connection import closed_port  # noqa: F401 - a fixture
from tests.client.test_registration import Registry
from tests.serving import environment, hears_ctrl_c
from tests.serving import hokusai as command

ESCAPES = re.compile(r"\x1b\[")
FACTS: dict[str, Any] = {
    "key_id": "key_1",
    "name": "ci",
    "hint": KEY[:12],
    "state": "active",
    "workspace": "acme",
    "user_id": "ci",
    "permissions": ["artifacts:read", "models:read", "runs:read"],
    "service_id": "platform",
    "environment": "live",
    "rate_limit_per_hour": None,
    "allow_ips": ["10.0.0.0/8"],
    "created_at": "2026-01-02T03:04:05Z",
    "created_by": "key_0",
    "expires_at": None,
    "revoked_at": None,
    "rotated_to": None,
}
MADE = Reply.of({**FACTS, "key": "hk_live_new"}, 201)


def test_version(hokusai: Hokusai) -> None:
    ran = hokusai("--version")
    assert (ran.code, ran.out) == (0, f"hokusai {__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("register", "x"),
        ("keys", "create"),
        ("keys", "create", "--name", "n", "--permissions", "write,everything"),
        ("keys", "create", "--name", "n", "--environment", "staging"),
        ("serve", "--port", "70000"),
        ("serve", "--role", "king"),
        ("pull", "models:/m/1"),
    ],
)
def test_wrong_usage_ends_with_2(hokusai: Hokusai, arguments: tuple[str, ...]) -> None:
    ran = hokusai(*arguments, url="http://127.0.0.1:1")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err


@pytest.mark.parametrize(
    ("arguments", "option", "rule"),
    [
        ("create --name n --expires soon", "--expires", "for example 90d"),
        ("create --name n --expires 36501d", "--expires", "36500d"),
        ("create --name n --rate lots", "--rate", "for example 1000/h"),
        ("create --name n --rate 0/h", "--rate", "between 1 and"),
        ("create --name n --workspace Team_A", "--workspace", "lower-case letters, digits and hyphens"),
        ("list --workspace Team_A", "--workspace", "lower-case letters, digits and hyphens"),
        ("rotate key_1 --expires soon", "--expires", "for example 90d"),
        ("rotate key_1 --overlap soon", "--overlap", "for example 90d"),
    ],
)
def test_a_bad_option_is_named_with_its_rule(hokusai: Hokusai, arguments: str, option: str, rule: str) -> None:
    with answering(lambda _: MADE) as server:
        ran = hokusai("keys", *arguments.split(), url=server.url)
    assert (ran.code, ran.out, server.requests) == (2, "", [])
    said = re.sub(r"[│\s]+", " ", ran.err)
    assert option in said
    assert rule in said
    assert "[a-z0-9]" not in said


def test_the_argument_that_may_be_left_out_has_one_pair_of_brackets(hokusai: Hokusai) -> None:
    shown = hokusai("keys", "show", "--help").out
    assert "[KEY_ID]" in shown
    assert "[[" not in shown


def test_wrong_usage_ends_with_2_before_anything_is_asked(hokusai: Hokusai, tmp_path: Path) -> None:
    for arguments, code in (
        (("register", tmp_path / "absent", "--name", "m"), "HK7004"),
        (("pull", "m/1", tmp_path / "t"), "HK7006"),
    ):
        ran = hokusai(*arguments, url="http://127.0.0.1:1")
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith(code)


@pytest.mark.parametrize(
    ("url", "key", "code"),
    [
        ("", KEY, "HK7002"),
        ("http://127.0.0.1:1", "", "HK7003"),
        ("127.0.0.1", KEY, "HK7008"),
        ("http://h", "a b", "HK7009"),
    ],
)
def test_missing_settings_are_named(hokusai: Hokusai, url: str, key: str, code: str) -> None:
    ran = hokusai("models", "list", url=url, key=key)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(code)


def test_nobody_there_ends_with_3(hokusai: Hokusai, closed_port: int) -> None:  # noqa: F811
    ran = hokusai("models", "list", url=f"http://127.0.0.1:{closed_port}")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("HK7001")
    assert f"http://127.0.0.1:{closed_port}" in ran.err


def test_another_server_ends_with_3(hokusai: Hokusai) -> None:
    with answering(lambda _: Reply(200, b"<html>", {"Content-Type": "text/html"})) as server:
        ran = hokusai("models", "list", "--json", url=server.url)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("HK7005")
    assert "text/html" in ran.err


def test_the_wrong_key(hokusai: Hokusai) -> None:
    with answering(lambda _: UNKNOWN_KEY) as server:
        ran = hokusai("models", "list", "--json", url=server.url)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines() == [
        "HK1103  auth: this API key is not known here.",
        "  what to do  Ask for a new one.",
        "  your key    hk_live_Ab3d… (HOKUSAI_API_KEY)",
        f"  server      {server.url} (HOKUSAI_URL)",
        "  request id  request-1",
    ]


def test_an_errors_remedy_and_request_id_are_printed_once(hokusai: Hokusai) -> None:
    """The error as a server sends it, whose message holds both for clients that show the message alone."""
    sent = errors.WorkspaceSuspended(workspace="acme")
    with answering(lambda _: Reply(sent.status, sent.body("req-77"))) as server:
        ran = hokusai("models", "list", url=server.url)
    assert ran.err.splitlines() == [
        f"HK1204  {sent}",
        f"  what to do  {sent.advice}",
        "  request id  req-77",
    ]


def test_what_is_no_key_is_not_repeated(hokusai: Hokusai) -> None:
    with answering(lambda _: UNKNOWN_KEY) as server:
        ran = hokusai("models", "list", url=server.url, key="my-database-password")
    assert "my-database" not in ran.err
    assert "HOKUSAI_API_KEY" in ran.err


def test_every_error_of_ours_has_an_exit_code() -> None:
    codes = {row.code: exit_code(row.__new__(row)) for row in errors.rows()}
    assert set(codes.values()) == {1, 2, 3, 130}
    assert [code for code, ends in codes.items() if ends == 130] == ["HK7014", "HK8020"]
    assert codes["HK7001"] == codes["HK7005"] == 3
    assert {codes[code] for code in ("HK1103", "HK7007", "HK7011", "HK7012", "HK7013")} == {1}
    assert {codes[code] for code in ("HK6001", "HK6011", "HK7002", "HK7010", "HK8002", "HK8009")} == {2}
    assert {codes[code] for code in ("HK8013", "HK8017", "HK8019")} == {1}


def test_env_is_ready_to_eval(hokusai: Hokusai) -> None:
    for key in (KEY, "it's$(touch${IFS}x)`y`;&"):
        ran = hokusai("env", url="http://127.0.0.1:5050/", key=key)
        script = ran.out + 'printf "%s %s" "$MLFLOW_TRACKING_URI" "$MLFLOW_TRACKING_TOKEN"'
        shell = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
        assert shell.stdout == f"http://127.0.0.1:5050/api/mlflow {key}"
    assert shlex.split(ran.out)[0] == "export"
    assert hokusai("env", "--json", url="http://h").json["MLFLOW_TRACKING_URI"] == "http://h/api/mlflow"


def test_a_new_key_stands_alone_in_a_pipe(hokusai: Hokusai) -> None:
    with answering(lambda _: MADE) as server:
        ran = hokusai("keys", "create", "--workspace", "acme", "--name", "ci", url=server.url)
        document = hokusai("keys", "create", "--name", "ci", "--json", url=server.url)
    assert (ran.code, ran.out) == (0, "hk_live_new\n")
    assert "key_1" in ran.err
    assert "cannot show it again" in ran.err
    assert document.json["key"] == "hk_live_new"
    assert document.json["permissions"] == FACTS["permissions"]
    assert document.err == ""


def test_options_of_a_new_key_are_passed_on(hokusai: Hokusai) -> None:
    options = "--permissions models:read,write --expires 90d --service platform --rate 1000/h"
    networks = "--allow-ip 10.0.0.0/8 --allow-ip ::1 --environment test"
    with answering(lambda _: MADE) as server:
        hokusai("keys", "create", "--name", "n", *options.split(), *networks.split(), url=server.url)
        hokusai("keys", "create", "--name", "n", url=server.url)
    assert server.requests[0].json == {
        "name": "n",
        "permissions": ["models:read", "write"],
        "expires": "90d",
        "service_id": "platform",
        "rate": "1000/h",
        "allow_ips": ["10.0.0.0/8", "::1"],
        "environment": "test",
    }
    assert server.requests[1].json == {"name": "n", "permissions": ["write"], "allow_ips": []}


def test_permissions_may_have_spaces_between(hokusai: Hokusai) -> None:
    with answering(lambda _: MADE) as server:
        hokusai("keys", "create", "--name", "n", "--permissions", " read, models:write ", url=server.url)
    assert server.requests[0].json["permissions"] == ["read", "models:write"]


def test_tables_in_a_pipe_are_neither_cut_nor_coloured(hokusai: Hokusai) -> None:
    long = "x" * 300
    with answering(lambda _: Reply.of({"keys": [{**FACTS, "name": long}], "next_page_token": None})) as server:
        ran = hokusai("keys", "list", url=server.url)
    heading, row = ran.out.splitlines()
    assert heading.split()[:2] == ["KEY_ID", "NAME"]
    assert long in row
    assert "read" in row
    assert not ESCAPES.search(ran.out)


def test_names_from_strangers_do_not_reach_the_terminal_raw(hokusai: Hokusai) -> None:
    hostile = "\x1b]0;owned\x07\x9b2J\u202e[red]bold[/red]\n"
    error = Reply.refusal(404, "HK3005", f"no {hostile}.", hostile)
    with answering(lambda _: Reply.of({"keys": [{**FACTS, "name": hostile}], "next_page_token": None})) as server:
        listed = hokusai("keys", "list", url=server.url)
        document = hokusai("keys", "list", "--json", url=server.url)
    with answering(lambda _: error) as server:
        refused = hokusai("keys", "list", url=server.url)
    for text in (listed.out, document.out, refused.err):
        assert not set(text) & {"\x1b", "\x07", "\x9b", "\u202e"}
    assert "[red]bold[/red]" in listed.out
    assert document.json["keys"][0]["name"] == hostile


def test_nothing_to_list(hokusai: Hokusai) -> None:
    with answering(lambda _: Reply.of({"workspaces": [], "next_page_token": None})) as server:
        ran = hokusai("workspaces", "list", url=server.url)
        document = hokusai("workspaces", "list", "--json", url=server.url)
    assert (ran.code, ran.out) == (0, "")
    assert "hokusai workspaces create" in ran.err
    assert document.json == {"workspaces": []}


def test_register_in_a_pipe_is_quiet(hokusai: Hokusai, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    with answering(Registry()) as server:
        ran = hokusai("register", tmp_path, "--name", "m", url=server.url)
        document = hokusai("register", tmp_path, "--name", "m", "--json", url=server.url)
    assert (ran.code, ran.out, ran.err) == (0, "models:/m/1\n", "")
    assert (document.json["uri"], document.json["status"], document.err) == ("models:/m/1", "READY", "")


def test_the_defaults_that_serve_shows_are_the_real_ones(hokusai: Hokusai) -> None:
    shown = re.sub(r"[│\s]+", " ", hokusai("serve", "--help").out)
    fields = settings.Settings.model_fields
    for name in ("host", "port", "data", "role", "workers"):
        assert f"(HOKUSAI_{name.upper()})" in shown
        assert f"[default: ({fields[name].default})]" in shown


def test_serve_without_the_extra_says_what_to_install(tmp_path: Path) -> None:
    absent = "import sys; sys.modules['uvicorn'] = None; sys.argv = ['hokusai', 'serve']"
    code = f"{absent}; from hokusai.cli import main; main()"
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert ran.stderr.startswith("HK6011")
    assert "pip install 'hokusai[server]'" in ran.stderr


def test_serve_refuses_a_bad_setting(tmp_path: Path) -> None:
    ran = subprocess.run(
        command("serve", "--data", str(tmp_path / "data")),
        env=environment(HOKUSAI_LOG_LEVEL="loud"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert ran.stderr.startswith("HK6007")
    assert "HOKUSAI_LOG_LEVEL" in ran.stderr


def test_a_terminal_gets_colours_unless_told_otherwise() -> None:
    with answering(lambda _: UNKNOWN_KEY) as server:
        settings = {"HOKUSAI_URL": server.url, "HOKUSAI_API_KEY": KEY}
        code, shown = on_terminal("models", "list", **settings)
        plain_code, plain = on_terminal("models", "list", **settings, NO_COLOR="1")
    assert code == plain_code == 1
    assert re.search(r"\x1b\[[0-9;]*31m", shown), "the code is red"
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", plain)
    assert "HK1103" in plain


def test_a_terminal_gets_a_progress_bar(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"x" * 5_000_000)
    with answering(Registry()) as server:
        code, shown = on_terminal("register", str(tmp_path), "--name", "m", HOKUSAI_URL=server.url, HOKUSAI_API_KEY=KEY)
    assert code == 0
    assert "Sending weights.bin" in shown
    assert "Registered m version 1 (READY)." in shown


def test_a_terminal_shows_a_new_key_with_advice() -> None:
    with answering(lambda _: MADE) as server:
        code, shown = on_terminal("keys", "create", "--name", "ci", HOKUSAI_URL=server.url, HOKUSAI_API_KEY=KEY)
    assert code == 0
    assert "hk_live_new" in shown
    assert "cannot show it again" in shown


def test_ctrl_c_ends_clean(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    uploading, go_on = threading.Event(), threading.Event()
    registry = Registry()

    def answer(request: Request) -> Reply:
        if request.method == "PUT":
            uploading.set()
            go_on.wait(30)
        return registry(request)

    with answering(answer) as server:
        process = subprocess.Popen(
            command("register", str(tmp_path), "--name", "m"),
            env=environment(HOKUSAI_URL=server.url, HOKUSAI_API_KEY=KEY),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A background shell has Ctrl-C ignored, and its children inherit that.
            preexec_fn=hears_ctrl_c,  # noqa: PLW1509
        )
        assert uploading.wait(30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        go_on.set()
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    ended = [request.json for request in server.requests if request.path.endswith("runs/update")]
    assert [one["status"] for one in ended] == ["KILLED"]


def test_a_reader_that_leaves_is_no_error() -> None:
    many = [{**FACTS, "key_id": f"key_{number}", "name": "x" * 200} for number in range(2000)]
    with answering(lambda _: Reply.of({"keys": many, "next_page_token": None})) as server:
        script = f"{shlex.join(command('keys', 'list'))} | head -n 1"
        ran = subprocess.run(
            ["/bin/sh", "-c", script],
            env=environment(HOKUSAI_URL=server.url, HOKUSAI_API_KEY=KEY),
            capture_output=True,
            text=True,
            check=True,
        )
    assert ran.stdout.startswith("KEY_ID")
    assert ran.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete(shell: str) -> None:
    asked = {
        "bash": {"COMP_WORDS": "hokusai works", "COMP_CWORD": "1"},
        "zsh": {"_TYPER_COMPLETE_ARGS": "hokusai works"},
        "fish": {"_TYPER_COMPLETE_ARGS": "hokusai works", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    ran = subprocess.run(
        command(),
        env=environment(_HOKUSAI_COMPLETE=f"complete_{shell}", **asked),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "workspaces" in ran.stdout


def test_values_that_json_does_not_know_are_a_fault_of_ours() -> None:
    with pytest.raises(TypeError):
        output.document({"a": object()})


def test_documents_are_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    output.document({"name": "モデル"})
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == {"name": "モデル"}
