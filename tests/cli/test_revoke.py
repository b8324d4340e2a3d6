"""``hokusai keys revoke`` and its neighbours: by id or by text, with confirmation, and what became of other keys."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest

from hokusai import apikey
from tests.cli.conftest import KEY, Hokusai, on_terminal
from tests.cli.test_cli import FACTS
from tests.client.answering import Reply, Request, answering
from tests.serving import Server

LEAKED = apikey.mint("live").text


class Keys:
    """A server with one key, which has made another one."""

    def __init__(self, children: int = 1) -> None:
        self.children = [
            {**FACTS, "key_id": f"key_{number + 2}", "name": f"child {number}"} for number in range(children)
        ]

    def __call__(self, request: Request) -> Reply:
        if request.method != "DELETE":
            return Reply.of(FACTS)
        also = self.children if request.query.get("with_descendants") == "true" else []
        active = [] if also else self.children
        lists: dict[str, Any] = {"also_revoked": also, "also_revoked_count": len(also)}
        lists |= {"still_active": active, "still_active_count": len(active)}
        return Reply.of({**FACTS, "state": "revoked", **lists})


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


@pytest.mark.parametrize("how", [("-",), ("--stdin",)])
@pytest.mark.parametrize("command", ["show", "revoke", "rotate"])
def test_a_key_is_taken_by_its_text_from_standard_input(
    hokusai: Hokusai, monkeypatch: pytest.MonkeyPatch, command: str, how: tuple[str, ...]
) -> None:
    def answer(request: Request) -> Reply:
        return Reply.of({**FACTS, "key": "hk_live_new"}, 201) if request.path.endswith("rotate") else Keys()(request)

    typed(monkeypatch, f"  {LEAKED}\n")
    with answering(answer) as server:
        ran = hokusai("keys", command, *how, url=server.url)
    assert ran.code == 0, ran.err
    find, *rest = server.requests
    assert (find.method, find.target, find.json) == ("POST", "/api/v1/keys/find", {"key": LEAKED})
    assert all("key_1" in one.target for one in rest)
    assert not any(LEAKED[8:] in one.target for one in server.requests)
    assert LEAKED not in ran.out + ran.err


@pytest.mark.parametrize(
    "text",
    ["", "hk_live_mistyped", LEAKED[:-1] + "!", "key_0000000000000000", f"{LEAKED}\n{LEAKED}"],
    ids=["empty", "too short", "mistyped", "an id", "two keys"],
)
def test_what_is_not_a_key_is_not_sent(hokusai: Hokusai, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    typed(monkeypatch, text)
    with answering(Keys()) as server:
        ran = hokusai("keys", "revoke", "-", url=server.url)
    assert (ran.code, ran.out, server.requests) == (2, "", [])
    assert "not a key" in " ".join(ran.err.split())
    assert not text or text not in ran.err


@pytest.mark.parametrize("command", ["show", "revoke", "rotate", "list --children-of"])
def test_a_key_on_the_command_line_is_not_sent(hokusai: Hokusai, command: str) -> None:
    with answering(Keys()) as server:
        ran = hokusai("keys", *command.split(), LEAKED, url=server.url)
    assert (ran.code, ran.out, server.requests) == (2, "", [])
    assert "standard input" in " ".join(ran.err.replace("│", " ").split())
    assert LEAKED[12:] not in ran.err


@pytest.mark.parametrize("arguments", [("revoke",), ("rotate",), ("revoke", "key_1", "--stdin")])
def test_one_key_is_named(hokusai: Hokusai, arguments: tuple[str, ...]) -> None:
    with answering(Keys()) as server:
        ran = hokusai("keys", *arguments, url=server.url)
    assert (ran.code, ran.out, server.requests) == (2, "", [])


def test_keys_that_still_work_are_named(hokusai: Hokusai) -> None:
    with answering(Keys(children=30)) as server:
        ran = hokusai("keys", "revoke", "key_1", url=server.url)
        with_them = hokusai("keys", "revoke", "key_1", "--with-descendants", url=server.url)
        document = hokusai("keys", "revoke", "key_1", "--json", url=server.url).json
    assert ran.out.splitlines()[0] == "Revoked key_1 (ci)."
    assert "30 keys made by it still work: key_2 (child 0), " in ran.out
    assert "and 10 more" in ran.out
    assert "hokusai keys revoke key_1 --with-descendants" in ran.out
    assert "Also revoked 30 keys made by it: key_2 (child 0), " in with_them.out
    assert "still work" not in with_them.out
    assert (document["still_active_count"], document["still_active"][0]["key_id"]) == (30, "key_2")


def test_the_flags_are_sent_only_where_they_are_given(hokusai: Hokusai) -> None:
    with answering(Keys()) as server:
        hokusai("keys", "revoke", "key_1", url=server.url)
        hokusai("keys", "revoke", "key_1", "--yes-lock-me-out", "--with-descendants", url=server.url)
        hokusai("keys", "rotate", "key_1", url=server.url)
        hokusai("keys", "rotate", "key_1", "--yes-lock-me-out", url=server.url)
    plain, flagged, rotation, flagged_rotation = server.requests
    assert plain.target == "/api/v1/keys/key_1"
    assert flagged.query == {"with_descendants": "true", "yes_lock_me_out": "true"}
    assert "yes_lock_me_out" not in rotation.json
    assert flagged_rotation.json["yes_lock_me_out"] is True


def test_a_terminal_asks_first() -> None:
    with answering(Keys()) as server:
        settings = {"HOKUSAI_URL": server.url, "HOKUSAI_API_KEY": KEY}
        refused = on_terminal("keys", "revoke", "key_1", typed=(("[y/N]", "n"),), **settings)
        assert [one.method for one in server.requests] == ["GET"]
        agreed = on_terminal("keys", "revoke", "key_1", typed=(("[y/N]", "y"),), **settings)
        unasked = on_terminal("keys", "revoke", "key_1", "--yes", **settings)
    assert refused[0] == 1
    assert "key_1 (ci) is a key of the workspace acme" in refused[1]
    assert agreed[0] == unasked[0] == 0
    assert "Revoked key_1" in agreed[1]
    assert "[y/N]" not in unasked[1]
    assert [one.method for one in server.requests] == ["GET", "GET", "DELETE", "DELETE"]


def test_a_terminal_does_not_show_the_key() -> None:
    with answering(Keys()) as server:
        answers = (("not shown", LEAKED), ("[y/N]", "y"))
        code, shown = on_terminal("keys", "revoke", "-", typed=answers, HOKUSAI_URL=server.url, HOKUSAI_API_KEY=KEY)
    assert code == 0, shown
    assert LEAKED[12:] not in shown
    assert [one.method for one in server.requests] == ["POST", "DELETE"]


def test_the_last_operator_key_and_its_children(
    hokusai: Hokusai, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against a real server: what the operator reads, and which key a leaked text is."""

    def run(*arguments: str, key: str | None = None) -> Any:
        return hokusai("keys", *arguments, url=server.url, key=key or server.operator_key)

    own = run("show", "--json").json["key_id"]
    refused = run("revoke", own)
    assert (refused.code, refused.err[:6]) == (1, "HK2070")
    assert "--yes-lock-me-out" in refused.err
    made = run("create", "--name", "second", "--permissions", "operator", "--json").json
    child = run("create", "--name", "third", "--permissions", "service", "--json", key=made["key"]).json
    listed = run("list", "--children-of", made["key_id"]).out.splitlines()
    assert [line.split()[0] for line in listed] == ["KEY_ID", child["key_id"]]
    assert listed[1].split()[-1] == made["key_id"]
    typed(monkeypatch, made["key"])
    revoked = run("revoke", "-")
    assert f"1 key made by it still works: {child['key_id']} (third)." in revoked.out
    typed(monkeypatch, made["key"])
    assert run("show", "-", "--json").json["state"] == "revoked"
    assert (
        f"Also revoked 1 key made by it: {child['key_id']}" in run("revoke", made["key_id"], "--with-descendants").out
    )
    assert json.loads(run("list", "--children-of", made["key_id"], "--json").out)["keys"][0]["state"] == "revoked"
