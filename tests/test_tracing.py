"""Spans of a running server, as a receiver of OTLP over HTTP gets them."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.serving import serving

SEARCH = "/api/2.0/mlflow/registered-models/search"
CREATE = "/api/2.0/mlflow/registered-models/create"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Receiver(ThreadingHTTPServer):
    """Takes OTLP/HTTP, in protocol buffers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, dict[str, str], ExportTraceServiceRequest]] = []
        self.raw = b""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def spans(self) -> list[Any]:
        return [
            span
            for _, _, request in list(self.requests)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.raw += body
        request = ExportTraceServiceRequest.FromString(body)
        self.server.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, request))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@contextmanager
def receiving() -> Iterator[Receiver]:
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            thread.join()


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def test_each_request_is_a_span_of_its_route(tmp_path: Path) -> None:
    with receiving() as receiver:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=us"}
        with serving(tmp_path / "data", settings=settings) as server:
            team = server.workspace("acme")
            with server.http(team.key) as http:
                sent = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
                query = {"filter": "name = 'in-the-query'"}
                searched = http.get(SEARCH, params=query, headers=sent)
                assert searched.is_success
                assert http.get(f"{FILES}/in-the-path.bin").status_code == 404
                assert http.post(CREATE, json={"name": "in-the-body"}, headers={"traceparent": "nonsense"}).is_success
            with server.stranger(2) as stranger:
                assert stranger.get("/in-the-path").status_code == 401
            server.stop()
        spans = {span.name: span for span in receiver.spans()}
        path, headers, request = receiver.requests[0]
    assert path == "/v1/traces"
    assert headers["content-type"] == "application/x-protobuf"
    assert headers["x-tenant"] == "us"
    resource = {one.key: one.value.string_value for one in request.resource_spans[0].resource.attributes}
    assert resource["service.name"] == "hokusai"
    span = spans[f"GET {SEARCH}"]
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert attributes(span) == {
        "http.request.method": "GET",
        "http.route": SEARCH,
        "http.response.status_code": 200,
        "hokusai.request_id": searched.headers["x-request-id"],
        "hokusai.key_id": team.key_id,
        "hokusai.workspace": "acme",
    }
    assert span.end_time_unix_nano > span.start_time_unix_nano
    missing = attributes(spans[f"GET {FILES}/{{path:path}}"])
    assert (missing["error.type"], missing["hokusai.action"]) == ("HK4001", "artifact.download")
    assert spans[f"POST {CREATE}"].trace_id.hex() != TRACE
    assert not spans[f"POST {CREATE}"].parent_span_id
    assert attributes(spans["GET unlisted"])["error.type"] == "HK1101"
    assert b"in-the-" not in receiver.raw
    assert team.key.encode() not in receiver.raw


def test_the_trace_goes_on_to_the_auth_service(tmp_path: Path) -> None:
    with receiving() as receiver:
        with serving(
            tmp_path / "auth", "--role", "auth", settings={"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
        ) as auth:
            service = auth.key(None, permissions=["service"])
            auth.workspace("acme")
            key = auth.key("acme", permissions=["read"]).key
            settings = {
                "HOKUSAI_AUTH_URL": auth.url,
                "HOKUSAI_AUTH_SERVICE_KEY": service.key,
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{receiver.url}/traces",
            }
            with serving(tmp_path / "registry", "--role", "registry", settings=settings) as registry:
                with registry.http(key) as http:
                    assert http.get(SEARCH, headers={"traceparent": f"00-{TRACE}-{PARENT}-01"}).is_success
                registry.stop()
            auth.stop()
        ours = {span.name: span for span in receiver.spans() if span.trace_id.hex() == TRACE}
        assert {path for path, _, _ in receiver.requests} == {"/v1/traces", "/traces"}
    asked = ours["POST /api/v1/keys/validate"]
    assert asked.parent_span_id == ours[f"GET {SEARCH}"].span_id


def test_a_collector_that_is_down_does_not_delay_the_end(tmp_path: Path) -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    with serving(tmp_path / "data", settings=settings) as server:
        with server.http() as http:
            assert http.get("/version").is_success
        start = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - start < 20


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL"),
    ],
)
def test_what_is_not_offered_is_refused_at_the_start(
    settings: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hokusai import errors
    from hokusai.gateway import Tracing

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(errors.SettingInvalid, match=re.escape(named)):
        Tracing.from_environment()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_without_the_variables_nothing_is_loaded(settings: dict[str, str]) -> None:
    code = (
        "import os, sys; from hokusai.gateway import Tracing; assert Tracing.from_environment() is None;"
        "print([name for name in sys.modules if name.startswith('opentelemetry.exporter')])"
    )
    environ = {"PATH": "/usr/bin:/bin", **settings}
    ran = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
