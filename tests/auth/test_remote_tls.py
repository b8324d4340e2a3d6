"""An auth service behind TLS, with a certificate that a private authority has signed."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from hokusai import errors
from hokusai.auth import RemoteAuthenticator
from hokusai.auth.keys import mint

if TYPE_CHECKING:
    import trustme


class _Service(BaseHTTPRequestHandler):
    """Knows the caller as one who may ask about keys."""

    def do_GET(self) -> None:
        body = json.dumps({"permissions": ["keys:validate"]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    import trustme

    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    return made


@pytest.fixture
def url(authority: trustme.CA) -> Iterator[str]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Service)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


async def check(url: str) -> None:
    remote = RemoteAuthenticator(url, service_key=mint("live").text)
    try:
        await remote.check()
    finally:
        await remote.close()


async def test_the_authority_is_the_one_that_the_environment_names(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    await check(url)
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(errors.AuthServiceDown):
        await check(url)
