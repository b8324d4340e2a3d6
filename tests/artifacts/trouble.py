"""A real HTTP server in front of an S3 server, in which a test can cause failures."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

#: What is done with a request: pass it on, do so and lose the answer, cut it in its middle, be silent, or an answer.
Fate = Literal["pass", "lose", "cut", "hang"] | tuple[int, bytes]
Plan = Callable[["Asked"], Fate]


@dataclass(frozen=True)
class Asked:
    method: str
    target: str
    authorization: str
    range: str | None = None

    @property
    def lists(self) -> bool:
        return self.method == "GET" and "list-type=2" in self.target

    @property
    def writes(self) -> bool:
        return self.method == "PUT"

    @property
    def part(self) -> bool:
        return self.writes and "partNumber=" in self.target

    @property
    def deletes(self) -> bool:
        return self.method == "POST" and self.target.endswith("?delete")

    @property
    def completes(self) -> bool:
        return self.method == "POST" and "uploadId=" in self.target

    @property
    def reads(self) -> bool:
        return self.method in {"GET", "HEAD"} and not self.lists


def fault(status: int, code: str, more: str = "") -> tuple[int, bytes]:
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>No.</Message>{more}</Error>'
    return status, body.encode()


@dataclass
class Trouble:
    """The server; ``plan`` decides each request's fate, and ``asked`` has them all."""

    port: int
    upstream: int
    plan: Plan = lambda asked: "pass"
    asked: list[Asked] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def trouble(upstream: int) -> Iterator[Trouble]:
    found = Trouble(0, upstream)
    handler = type("Handler", (_Handler,), {"trouble": found})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    found.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield found
    finally:
        found.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    trouble: Trouble

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, http.client.HTTPException):
            self.close_connection = True

    def _any(self) -> None:
        asked = Asked(self.command, self.path, self.headers.get("authorization", ""), self.headers["range"])
        self.trouble.asked.append(asked)
        fate = self.trouble.plan(asked)
        length = int(self.headers.get("content-length", 0))
        if fate == "cut":
            self.rfile.read(length // 2)
            self._hang_up()
            return
        body = self.rfile.read(length)
        if fate == "hang":
            self.trouble.over.wait(60)
            self._hang_up()
        elif isinstance(fate, tuple):
            self._answer(fate[0], [], fate[1])
        else:
            self._pass(body, lose=fate == "lose")

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _any  # noqa: N815

    def _pass(self, body: bytes, *, lose: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.trouble.upstream, timeout=60)
        try:
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if lose:
            self._hang_up()
        else:
            self._answer(answer.status, answer.getheaders(), data)

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in {"content-length", "connection", "transfer-encoding"}:
                self.send_header(name, value)
        told = {name.lower(): value for name, value in headers}.get("content-length", str(len(body)))
        self.send_header("content-length", told if self.command == "HEAD" else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    def log_message(self, *args: object) -> None: ...
