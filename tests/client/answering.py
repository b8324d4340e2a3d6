"""A real HTTP server on a free port that answers what a test says, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, document: object, status: int = 200, **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, json.dumps(document).encode(), {"Content-Type": "application/json", **named})

    @classmethod
    def refusal(
        cls, status: int, code: str, message: str, remedy: str, *, error_code: str = "X", **headers: str
    ) -> Reply:
        ours = {"code": code, "remedy": remedy, "request_id": "request-1"}
        shape = {"error_code": error_code, "message": f"{message} {remedy} (request request-1)", "hokusai": ours}
        return cls.of(shape, status, **headers)


UNKNOWN_KEY = Reply.refusal(401, "HK1103", "auth: this API key is not known here.", "Ask for a new one.")

Answerer = Callable[[Request], Reply]


@dataclass
class Answering:
    url: str
    requests: list[Request] = field(default_factory=list)

    @property
    def asked(self) -> list[tuple[str, str]]:
        return [(request.method, request.path) for request in self.requests]


@contextmanager
def answering(answer: Answerer) -> Iterator[Answering]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = Request(self.command, self.path, dict(self.headers.items()), body)
            seen.requests.append(request)
            reply = answer(request)
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else reply.body)

        def log_message(self, *_: object) -> None: ...

    for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.handle_one)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        seen = Answering(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield seen
        finally:
            server.shutdown()
            thread.join()
