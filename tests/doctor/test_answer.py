"""Which server or proxy wrote an answer, decided from real error pages."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest

from hokusai.doctor.probe import Answer, ConnectionFailure, Responder, classify, redacted

WERKZEUG = b"<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n"
HAPROXY = (
    b"<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n"
)
NGINX = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<center>nginx/1.22.1</center>\r\n</html>"
OURS = b'{"error_code": "X", "message": "m", "hokusai": {"code": "HK1001", "remedy": "r", "request_id": "1"}}'


@pytest.mark.parametrize(
    ("body", "headers", "responder"),
    [
        (OURS, {}, Responder.HOKUSAI),
        (OURS, {"server": "nginx"}, Responder.HOKUSAI),
        (b"", {"x-hokusai-code": "HK1001"}, Responder.HOKUSAI),
        (b"{}", {"x-request-id": "1"}, Responder.HOKUSAI),
        (WERKZEUG, {"server": "nginx"}, Responder.MLFLOW),
        (b'{"error_code": "INTERNAL_ERROR", "message": ""}', {}, Responder.MLFLOW),
        (b"Invalid Host header - possible DNS rebinding attack detected", {}, Responder.MLFLOW),
        (b"OK", {"server": "gunicorn"}, Responder.MLFLOW),
        (NGINX, {"server": "nginx/1.22.1"}, Responder.NGINX),
        (HAPROXY, {}, Responder.HAPROXY),
        (b"<html><center>503</center></html>", {"server": "awselb/2.0"}, Responder.ALB),
        (b"no such route", {}, Responder.UNKNOWN),
    ],
)
def test_who_answered(body: bytes, headers: dict[str, str], responder: Responder) -> None:
    assert Answer("GET", "/", 404, headers, body, len(body)).responder is responder


def test_nobody_answered() -> None:
    silent = Answer("GET", "/", failure=ConnectionFailure.REFUSED, detail="Connection refused")
    assert silent.responder is Responder.NOBODY
    assert silent.summary() == "GET / → refused: Connection refused (after 0.00 s)"


def test_no_key_is_shown() -> None:
    key = "hk_live_" + "a" * 38
    assert key not in redacted(f"sent {key} and Authorization: Bearer {key}")
    assert "c2VjcmV0LW9mLXNvbWVib2R5" not in redacted("Authorization: Basic c2VjcmV0LW9mLXNvbWVib2R5")
    assert redacted("send 'Authorization: Bearer or' so") == "send 'Authorization: Bearer or' so"
    assert key not in Answer("GET", f"/{key}", 404, {}, key.encode(), 1).summary()


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (socket.gaierror(-2, "Name or service not known"), ConnectionFailure.UNRESOLVED),
        (ConnectionRefusedError(111, "Connection refused"), ConnectionFailure.REFUSED),
        (ConnectionResetError(104, "reset"), ConnectionFailure.RESET),
        (OSError(113, "No route to host"), ConnectionFailure.UNREACHABLE),
        (TimeoutError(), ConnectionFailure.SILENT),
        (asyncio.IncompleteReadError(b"", 1), ConnectionFailure.CUT),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), ConnectionFailure.NOT_TLS),
        (ssl.SSLError(1, "[SSL: TLSV1_ALERT_INTERNAL_ERROR]"), ConnectionFailure.HANDSHAKE),
        (ValueError("?"), ConnectionFailure.UNREADABLE),
    ],
)
def test_failures_are_told_apart(error: Exception, failure: ConnectionFailure) -> None:
    assert classify(error)[0] is failure


def test_a_cause_inside_is_found() -> None:
    outer = RuntimeError("outer")
    outer.__cause__ = ConnectionRefusedError(111, "Connection refused")
    assert classify(outer) == (ConnectionFailure.REFUSED, "Connection refused")
