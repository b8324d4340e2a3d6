"""A span of OpenTelemetry for each request, exported with OTLP where the standard variables say so.

Written here, and not by an instrumentation library: such a library records paths and queries, in which a client may
send anything. A span has the route's template as its name, and no path, query, address or header.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from importlib.metadata import version
from typing import TYPE_CHECKING

from starlette.types import Scope

from hokusai import errors
from hokusai.gateway.exchange import Exchange, header
from hokusai.trace_context import TRACEPARENT

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_ENDPOINTS = (_ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL = "http/protobuf"
#: What RFC 9110 and RFC 5789 define; any other method is "_OTHER", as the semantic conventions say.
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
#: Seconds in which the last spans may be sent at the end.
_PATIENCE = 3.0


def wanted() -> bool:
    """Whether the standard variables of OpenTelemetry ask for spans."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip() not in {"", "otlp"}:
        return False
    return any(os.environ.get(name, "").strip() for name in _ENDPOINTS)


class Tracing:
    """Begins and ends the span of a request. ``from_environment`` makes it; without the variables there is none."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace import SpanKind, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("hokusai", version("hokusai"))
        self._propagator = TraceContextTextMapPropagator()
        self._kind, self._error = SpanKind.SERVER, StatusCode.ERROR

    @classmethod
    def from_environment(cls) -> Tracing | None:
        """Raises ``errors.SettingInvalid`` where the exporter is not installed, or another protocol is asked for."""
        if not wanted():
            return None
        for name in _PROTOCOLS:
            if (protocol := os.environ.get(name, "").strip()) not in {"", _PROTOCOL}:
                reason = f"{protocol!r} is not offered; spans are sent with {_PROTOCOL}"
                raise errors.SettingInvalid(setting=name, reason=reason)
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ModuleNotFoundError:
            reason = "the exporter is not installed: pip install 'hokusai[server,otel]'"
            raise errors.SettingInvalid(setting=_ENDPOINT, reason=reason) from None
        # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES go before these.
        resource = Resource.create({"service.version": version("hokusai")})
        if not os.environ.get("OTEL_SERVICE_NAME") and "service.name" not in os.environ.get(
            "OTEL_RESOURCE_ATTRIBUTES", ""
        ):
            resource = resource.merge(Resource({"service.name": "hokusai"}))
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return cls(provider)

    def begin(self, scope: Scope, exchange: Exchange) -> Span:
        """A span of the client's trace, where it sent one. Requests on its behalf carry it on (``trace_context``)."""
        names = {"traceparent", "tracestate"}
        sent = {name: value.decode("latin-1") for name in names if (value := header(scope, name.encode()))}
        context = self._propagator.extract(sent) if "traceparent" in sent else None
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        route = exchange.route
        span = self._tracer.start_span(
            f"{method} {route.path}" if route else f"{method} unlisted",
            context=context,
            kind=self._kind,
            attributes={
                "http.request.method": method,
                "hokusai.request_id": exchange.request_id,
                **({"http.route": route.path} if route else {}),
                **({"hokusai.action": str(route.action)} if route and route.action else {}),
            },
        )
        its = span.get_span_context()
        TRACEPARENT.set(f"00-{its.trace_id:032x}-{its.span_id:016x}-{its.trace_flags:02x}")
        return span

    def end(self, span: Span, exchange: Exchange) -> None:
        from opentelemetry.trace import Status

        if exchange.status:
            span.set_attribute("http.response.status_code", exchange.status)
        if exchange.code:
            span.set_attribute("error.type", exchange.code)
        if exchange.principal is not None:
            span.set_attribute("hokusai.key_id", exchange.principal.key_id)
            if exchange.principal.workspace is not None:
                span.set_attribute("hokusai.workspace", exchange.principal.workspace)
        if exchange.status >= 500 or exchange.status == 0:
            span.set_status(Status(self._error, exchange.code))
        span.end()
        TRACEPARENT.set(None)

    async def close(self) -> None:
        """Send what is left, for a few seconds at most: a collector that is down must not delay the end."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):  # nobody waits any more
                loop.call_soon_threadsafe(done.set)

        # Not a thread of the event loop's: the end of the process would wait for that one.
        threading.Thread(target=shut_down, name="tracing-end", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), _PATIENCE)
