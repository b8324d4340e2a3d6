"""One request to a WSGI app (PEP 3333), from values to values.

Both ends are known: the gateway has read the body whole, and MLflow's answers are whole JSON documents.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from typing import Any

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Answer = tuple[int, list[tuple[str, str]], bytes]


def call(app: WsgiApp, head: dict[str, Any], body: bytes) -> Answer:
    """Status, headers (lower-case names) and body. ``head`` has method, path, query and headers."""
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: object = None) -> None:
        started[:] = [int(status.split(" ", 1)[0]), headers]

    parts = app(_environ(head, body), start_response)
    try:
        content = b"".join(parts)
    finally:
        close = getattr(parts, "close", None)
        if close:
            close()
    status, headers = started
    return status, [(name.lower(), value) for name, value in headers], content


def _environ(head: dict[str, Any], body: bytes) -> dict[str, Any]:
    environ = {
        "REQUEST_METHOD": head["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": head["path"].encode("utf-8").decode("latin-1"),
        "QUERY_STRING": head["query"],
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for raw_name, value in head["headers"]:
        name = raw_name.upper().replace("-", "_")
        environ[name if name in {"CONTENT_TYPE", "CONTENT_LENGTH"} else "HTTP_" + name] = value
    return environ
