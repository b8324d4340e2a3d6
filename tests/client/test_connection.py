"""The client's HTTP: what it sends, what it retries, and what every kind of answer becomes."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

import hokusai
from hokusai import ApiError, Client, errors
from hokusai.client import retry
from hokusai.client.connection import MAX_DOCUMENT, Connection
from tests.client.answering import UNKNOWN_KEY, Answering, Reply, Request, answering

KEY = "hk_live_" + "a" * 38
HTML = Reply(200, b"<html>Welcome to nginx</html>", {"Content-Type": "text/html"})


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port nobody listens on, held so that nobody else takes it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def ask(
    server: Answering, method: str = "GET", *, idempotent: bool | None = None, timeout: float = 5
) -> dict[str, object]:
    with Connection(url=server.url, key=KEY, timeout=timeout) as connection:
        return connection.ask(method, "/api/v1/keys/self", dict, idempotent=idempotent)


def in_turn(*replies: Reply):
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def test_the_key_and_the_version_are_sent() -> None:
    with answering(lambda _: Reply.of({"a": 1})) as server:
        assert ask(server) == {"a": 1}
    headers = server.requests[0].headers
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["User-Agent"] == f"hokusai/{hokusai.__version__}"


def test_a_refusal_becomes_an_api_error() -> None:
    with answering(lambda _: UNKNOWN_KEY) as server, pytest.raises(ApiError) as caught:
        ask(server)
    error = caught.value
    assert (error.code, error.status, error.error_code) == ("HK1103", 401, "X")
    assert str(error) == error.message == "auth: this API key is not known here."
    assert error.remedy == error.advice == "Ask for a new one."
    assert error.request_id == "request-1"
    assert len(server.requests) == 1, "a refusal is final"


def test_braces_in_a_servers_error_are_only_text() -> None:
    reply = Reply.refusal(404, "HK3005", "tracking: no {model}.", "Use {name}.")
    with answering(lambda _: reply) as server, pytest.raises(ApiError) as caught:
        ask(server)
    assert (str(caught.value), caught.value.advice) == ("tracking: no {model}.", "Use {name}.")


@pytest.mark.parametrize(
    "reply",
    [
        HTML,
        Reply(404, b"<html>", {"Content-Type": "text/html"}),
        Reply(200, b"[]", {"Content-Type": "application/json"}),
        Reply(200, b'{"a": ', {"Content-Type": "application/json"}),
        Reply(200, b'{"a": "\xff"}', {"Content-Type": "application/json"}),
        Reply(404, b'{"error_code": "X", "message": "a bare MLflow"}', {"Content-Type": "application/json"}),
        Reply(400, b'{"error_code": "X", "message": "m", "hokusai": 3}', {"Content-Type": "application/json"}),
        Reply(307, b"", {"Location": "http://127.0.0.1:1/"}),
        Reply(401, b""),
    ],
)
def test_what_is_not_ours_is_unreadable(reply: Reply) -> None:
    with answering(lambda _: reply) as server, pytest.raises(errors.AnswerUnreadable) as caught:
        ask(server)
    assert server.url in str(caught.value)
    assert str(reply.status) in str(caught.value)


def test_a_json_object_of_another_kind_is_unreadable() -> None:
    with answering(lambda _: Reply.of({"hello": "world"})) as server, Client(server.url, KEY) as client:
        with pytest.raises(errors.AnswerUnreadable):
            client.keys.self()
        with pytest.raises(errors.AnswerUnreadable):
            client.ready()


def test_an_endless_document_is_not_read_to_its_end() -> None:
    body = b'{"a": "' + b"x" * MAX_DOCUMENT + b'"}'
    with answering(lambda _: Reply(200, body)) as server, pytest.raises(errors.AnswerUnreadable):
        ask(server)


def test_a_redirect_never_carries_the_key_elsewhere() -> None:
    with answering(lambda _: Reply.of({})) as other:
        away = Reply(302, b"", {"Location": other.url})
        with answering(lambda _: away) as server, pytest.raises(errors.AnswerUnreadable):
            ask(server)
    assert other.requests == []


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_passing_refusal_is_tried_again(status: int) -> None:
    busy = Reply.refusal(status, "HK1304", "busy.", "Again.", Retry_After="0")
    with answering(in_turn(busy, busy, Reply.of({"a": 1}))) as server:
        assert ask(server) == {"a": 1}
    assert len(server.requests) == 3


def test_a_proxys_page_for_a_server_that_restarts_is_tried_again() -> None:
    page = Reply(502, b"<html>Bad Gateway</html>", {"Content-Type": "text/html"})
    with answering(in_turn(page, Reply.of({"a": 1}))) as server:
        assert ask(server) == {"a": 1}


def test_attempts_are_bounded() -> None:
    with answering(lambda _: Reply.refusal(503, "HK1303", "draining.", "Again.")) as server, pytest.raises(ApiError):
        ask(server)
    assert len(server.requests) == retry.MAX_ATTEMPTS


def test_retry_after_is_honoured() -> None:
    reply = Reply.refusal(503, "HK1304", "busy.", "Again.", Retry_After="1")
    started = time.monotonic()
    with answering(in_turn(reply, Reply.of({}))) as server:
        ask(server)
    assert time.monotonic() - started >= 1


@pytest.mark.parametrize("wait", ["60", "99999999999999999999"])
def test_more_patience_than_there_is_is_an_error_at_once(wait: str) -> None:
    reply = Reply.refusal(429, "HK1302", "used up.", "Wait.", Retry_After="60")
    with answering(lambda _: reply) as server, pytest.raises(ApiError) as caught:
        ask(server)
    assert len(server.requests) == 1
    assert caught.value.retry_after == 60


def test_what_may_not_be_sent_twice_is_sent_once() -> None:
    busy = Reply.refusal(503, "HK1304", "busy.", "Again.", Retry_After="0")
    with answering(in_turn(busy, Reply.of({"a": 1}))) as server:
        with pytest.raises(ApiError):
            ask(server, "POST")
        assert ask(server, "POST", idempotent=True) == {"a": 1}


def test_nobody_there(closed_port: int) -> None:
    nobody = Answering(f"http://127.0.0.1:{closed_port}")
    with pytest.raises(errors.ServerUnreachable, match="refused") as caught:
        ask(nobody)
    assert KEY not in str(caught.value)


def test_silence_ends_after_the_time_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        silent = Answering(f"http://127.0.0.1:{mute.getsockname()[1]}")
        with pytest.raises(errors.ServerUnreachable, match=r"silent for 0\.2 seconds"):
            ask(silent, "POST", timeout=0.2)


def test_a_list_is_read_to_its_last_page() -> None:
    def answer(request: Request) -> Reply:
        if request.query.get("page_token") == "two":
            return Reply.of({"keys": [{"n": 3}], "next_page_token": None})
        return Reply.of({"keys": [{"n": 1}, {"n": 2}], "next_page_token": "two"})

    with answering(answer) as server, Connection(url=server.url, key=KEY, timeout=5) as connection:
        found = list(connection.pages("/api/v1/keys", "keys", lambda one: one["n"], {"workspace": "acme"}))
    assert found == [1, 2, 3]
    assert [request.query.get("workspace") for request in server.requests] == ["acme", "acme"]


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("http://127.0.0.1:5050", "http://127.0.0.1:5050"),
        (" http://127.0.0.1:5050/\n", "http://127.0.0.1:5050"),
        ("https://registry.example/", "https://registry.example"),
        ("https://registry.example/hokusai/", "https://registry.example/hokusai"),
        ("https://registry.example/api/mlflow", "https://registry.example"),
        ("http://[::1]:5050", "http://[::1]:5050"),
    ],
)
def test_urls_that_name_a_server(given: str, base: str) -> None:
    with Client(given, KEY) as client:
        assert client.url == base
        assert client.env() == {"MLFLOW_TRACKING_URI": f"{base}/api/mlflow", "MLFLOW_TRACKING_TOKEN": KEY}


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:5050",
        "ftp://h",
        "http://",
        "http://h:port",
        "http://h:99999",
        "http://[::1",
        "http://me:secret-word@h",
        "http://h:secret-word",
        "http://h/?key=secret-word",
        "http://h/#a",
    ],
)
def test_urls_that_name_none(url: str) -> None:
    with pytest.raises(errors.UrlInvalid) as caught:
        Client(url, KEY)
    assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize("key", ["hk_live_a b", "hk_live_a\nX-Other: 1", "hk_live_ä", "hk_live_…"])
def test_a_key_no_header_can_carry_is_refused_unseen(key: str) -> None:
    with pytest.raises(errors.ClientKeyUnusable) as caught:
        Client("http://127.0.0.1:5050", key)
    assert key not in str(caught.value)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOKUSAI_URL", "http://127.0.0.1:5050")
    monkeypatch.setenv("HOKUSAI_API_KEY", f" {KEY}\n")
    with Client() as client:
        assert client.env()["MLFLOW_TRACKING_TOKEN"] == KEY
    with Client("http://other", "hk_test_other") as client:
        assert client.env() == {
            "MLFLOW_TRACKING_URI": "http://other/api/mlflow",
            "MLFLOW_TRACKING_TOKEN": "hk_test_other",
        }


def test_without_settings_the_error_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOKUSAI_URL", "")
    monkeypatch.setenv("HOKUSAI_API_KEY", "")
    with pytest.raises(errors.UrlMissing):
        Client()
    with answering(lambda _: Reply.of({"version": "1"})) as server, Client(server.url) as client:
        assert client.version() == {"version": "1"}, "public routes need no key"
        with pytest.raises(errors.ClientKeyMissing):
            client.keys.self()
    assert "Authorization" not in server.requests[0].headers


def test_the_key_is_in_no_repr() -> None:
    with Client("http://127.0.0.1:5050", KEY) as client:
        for thing in (client, client._connection, client.keys, client.models):
            assert KEY not in repr(thing)
            assert KEY not in repr(vars(thing)) or thing is client._connection


def test_readiness_is_told_when_it_is_not_given() -> None:
    down = {"state": "down", "seconds": 3, "code": "HK5001", "message": "database: silent.", "remedy": "Look."}
    body = {"ready": False, "draining": False, "version": "1", "checks": {"database": down, "auth": {"state": "ok"}}}
    with answering(lambda _: Reply.of(body, 503)) as server, Client(server.url) as client:
        found = client.ready()
    assert not found.ready
    assert found.parts["auth"].state == "ok"
    assert found.parts["database"].code == "HK5001"
    assert len(server.requests) == 1
