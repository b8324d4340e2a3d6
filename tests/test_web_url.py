"""Which URLs can be called."""

from __future__ import annotations

import httpx2
import pytest

from hokusai.web_url import WebUrl


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("http://mlflow", "mlflow", 80),
        ("https://Registry.example.org/api?x=1#y", "registry.example.org", 443),
        ("http://user:secret@127.0.0.1:5050/", "127.0.0.1", 5050),
        ("http://[::1]:8080", "::1", 8080),
        ("https://bücher.example", "bücher.example", 443),
        ("http://my_host.internal", "my_host.internal", 80),
    ],
)
def test_a_url_with_a_host_is_one(text: str, host: str, port: int) -> None:
    found = WebUrl.parse(text)
    assert found is not None
    assert (found.host, found.port) == (host, port)
    assert httpx2.URL(text).host == host  # and the HTTP client agrees


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mlflow:5000",
        "http://",
        "http://:80",
        "ftp://host",
        "file:///x",
        "http://host:70000",
        "http://host:x",
        "http://[::1",
        "http://a b/",
        "http://a\tb",
        "http://a\n.example",
        "http://a..example",
        "http://$HOST/",
        "http://" + "a" * 64,
    ],
)
def test_anything_else_is_not(text: str) -> None:
    assert WebUrl.parse(text) is None
