"""Requests from pages of other sites."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from hokusai import errors
from hokusai.gateway import CheckOrigin
from tests.serving import Server

METHODS = ["POST", "PUT", "PATCH", "DELETE", "BREW"]


def passes(method: str, *headers: tuple[str, str], public: str | None = None, host: str = "reg.example.org") -> bool:
    """Whether a request gets through to the app."""
    reached: list[Scope] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        reached.append(scope)

    sent = [(b"host", host.encode()), *((name.encode(), value.encode("latin-1")) for name, value in headers)]
    nothing: Any = None
    try:
        asyncio.run(CheckOrigin(app, public_url=public)({"method": method, "headers": sent}, nothing, nothing))
    except errors.OriginForeign:
        return False
    return bool(reached)


FOREIGN = [
    "https://evil.example",
    "http://evil.example",
    "https://reg.example.org.evil.example",
    "https://evil-reg.example.org",
    "https://sub.reg.example.org",
    "https://example.org",
    "https://reg.example.org:8443",
    "https://reg.example.org@evil.example",
    "https://evil.example/reg.example.org",
    "https://reg.example.org/",
    "null",
    "",
    "file://",
    "chrome-extension://abcdefgh",
    "ws://reg.example.org",
    "https://reg.example.org https://evil.example",
    "https://reg.example.org, https://evil.example",
    "https://r\xe9g.example.org",
    "*",
]


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("public", [None, "https://reg.example.org"])
def test_a_foreign_page_changes_nothing(origin: str, public: str | None) -> None:
    assert not any(passes(method, ("origin", origin), public=public) for method in METHODS)
    assert passes("GET", ("origin", origin), public=public)
    assert passes("HEAD", ("origin", origin), public=public)


@pytest.mark.parametrize(
    ("origin", "host", "public"),
    [
        ("https://reg.example.org", "reg.example.org", None),
        ("https://REG.example.org", "Reg.Example.org", None),
        ("http://reg.example.org", "reg.example.org", None),
        ("http://127.0.0.1:5050", "127.0.0.1:5050", None),
        ("http://[::1]:5050", "[::1]:5050", None),
        ("https://reg.example.org", "reg.example.org:443", None),
        ("https://reg.example.org:8443", "reg.example.org:8443", None),
        ("https://reg.example.org", "10.0.0.7:5050", "https://reg.example.org"),
        ("https://reg.example.org", "10.0.0.7:5050", "https://reg.example.org:443/"),
        ("https://reg.example.org:8443", "10.0.0.7:5050", "https://Reg.example.org:8443/base"),
        ("http://127.0.0.1:5050", "127.0.0.1:5050", "https://reg.example.org"),
    ],
)
def test_its_own_pages_pass(origin: str, host: str, public: str | None) -> None:
    assert all(passes(method, ("origin", origin), host=host, public=public) for method in METHODS)


def test_the_public_url_is_taken_at_its_word() -> None:
    """Whoever can answer for the same name on plain HTTP, or on another port, is another site."""
    for origin in ("http://reg.example.org", "https://reg.example.org:8443"):
        assert not passes("POST", ("origin", origin), public="https://reg.example.org")
    assert not passes("POST", ("origin", "https://10.0.0.7"), host="10.0.0.7:5050", public="https://reg.example.org")


@pytest.mark.parametrize(
    ("site", "good"), [("cross-site", False), ("Cross-Site ", False), ("same-origin", True), ("none", True)]
)
def test_what_a_browser_says_of_the_site(site: str, good: bool) -> None:
    assert passes("POST", ("sec-fetch-site", site)) is good
    assert passes("POST", ("sec-fetch-site", site), ("origin", "https://reg.example.org")) is good
    assert passes("GET", ("sec-fetch-site", site))


def test_programs_pass_and_two_origins_must_both_be_good() -> None:
    own, foreign = ("origin", "https://reg.example.org"), ("origin", "https://evil.example")
    assert passes("POST")
    assert passes("POST", own, own)
    assert not passes("POST", own, foreign)
    assert not passes("POST", foreign, own)


@pytest.mark.parametrize(
    "kind", ["application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
@pytest.mark.process
def test_on_every_kind_of_route_and_before_any_key_is_looked_at(server: Server, kind: str) -> None:
    """Whatever a form or a script can send; a page of the server itself may."""
    headers = {"Origin": "https://evil.example", "Content-Type": kind}
    with server.http() as http:
        for method, path in (
            ("POST", "/api/v1/workspaces"),
            ("POST", "/api/mlflow/api/2.0/mlflow/registered-models/create"),
            ("PUT", "/api/2.0/mlflow-artifacts/artifacts/f"),
            ("DELETE", "/api/v1/keys/self"),
            ("POST", "/nowhere"),
        ):
            answer = http.request(method, path, headers=headers, content=b'{"name": "csrf"}')
            assert (answer.status_code, answer.json()["hokusai"]["code"]) == (403, "HK1070"), path
            assert "access-control-allow-origin" not in answer.headers
        keyless = httpx2.post(server.url + "/api/v1/workspaces", headers=headers, content=b"{}", trust_env=False)
        assert keyless.json()["hokusai"]["code"] == "HK1070"
        assert http.get("/api/v1/workspaces/csrf").status_code == 404
        own = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}
        assert http.post("/api/v1/keys/find", headers=own, json={"key": server.operator_key}).status_code == 200
