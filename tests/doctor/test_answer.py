"""Which server or proxy wrote an answer, decided from real error pages."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest

from hokusai.doctor.answer import Answer, Who, redacted
from hokusai.doctor.trouble import Trouble, trouble_of

WERKZEUG = b"<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n"
HAPROXY = (
    b"<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n"
)
NGINX = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<center>nginx/1.22.1</center>\r\n</html>"
OURS = b'{"error_code": "X", "message": "m", "hokusai": {"code": "HK1001", "remedy": "r", "request_id": "1"}}'


@pytest.mark.parametrize(
    ("body", "headers", "who"),
    [
        (OURS, {}, Who.HOKUSAI),
        (OURS, {"server": "nginx"}, Who.HOKUSAI),
        (b"", {"x-hokusai-code": "HK1001"}, Who.HOKUSAI),
        (b"{}", {"x-request-id": "1"}, Who.HOKUSAI),
        (WERKZEUG, {"server": "nginx"}, Who.MLFLOW),
        (b'{"error_code": "INTERNAL_ERROR", "message": ""}', {}, Who.MLFLOW),
        (b"Invalid Host header - possible DNS rebinding attack detected", {}, Who.MLFLOW),
        (b"OK", {"server": "gunicorn"}, Who.MLFLOW),
        (NGINX, {"server": "nginx/1.22.1"}, Who.NGINX),
        (HAPROXY, {}, Who.HAPROXY),
        (b"<html><center>503</center></html>", {"server": "awselb/2.0"}, Who.ALB),
        (b"no such route", {}, Who.UNKNOWN),
    ],
)
def test_who_answered(body: bytes, headers: dict[str, str], who: Who) -> None:
    assert Answer("GET", "/", 404, headers, body, len(body)).who is who


def test_nobody_answered() -> None:
    silent = Answer("GET", "/", trouble=Trouble.REFUSED, words="Connection refused")
    assert silent.who is Who.NOBODY
    assert silent.line() == "GET / → refused: Connection refused (after 0.00 s)"


def test_no_key_is_shown() -> None:
    key = "hk_live_" + "a" * 38
    assert key not in redacted(f"sent {key} and Authorization: Bearer {key}")
    assert "c2VjcmV0LW9mLXNvbWVib2R5" not in redacted("Authorization: Basic c2VjcmV0LW9mLXNvbWVib2R5")
    assert redacted("send 'Authorization: Bearer or' so") == "send 'Authorization: Bearer or' so"
    assert key not in Answer("GET", f"/{key}", 404, {}, key.encode(), 1).line()


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (socket.gaierror(-2, "Name or service not known"), Trouble.UNRESOLVED),
        (ConnectionRefusedError(111, "Connection refused"), Trouble.REFUSED),
        (ConnectionResetError(104, "reset"), Trouble.RESET),
        (OSError(113, "No route to host"), Trouble.UNREACHABLE),
        (TimeoutError(), Trouble.SILENT),
        (asyncio.IncompleteReadError(b"", 1), Trouble.CUT),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), Trouble.NOT_TLS),
        (ssl.SSLError(1, "[SSL: TLSV1_ALERT_INTERNAL_ERROR]"), Trouble.HANDSHAKE),
        (ValueError("?"), Trouble.UNREADABLE),
    ],
)
def test_troubles_are_told_apart(error: Exception, trouble: Trouble) -> None:
    assert trouble_of(error)[0] is trouble


def test_a_cause_inside_is_found() -> None:
    outer = RuntimeError("outer")
    outer.__cause__ = ConnectionRefusedError(111, "Connection refused")
    assert trouble_of(outer) == (Trouble.REFUSED, "Connection refused")
