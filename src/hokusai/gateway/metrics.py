"""Metrics for Prometheus. Labels come only from the route table, so that clients cannot add any."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from hokusai.gateway.route import Route

_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """The metrics of this process; ``render`` returns them in the text exposition format 0.0.4."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.in_flight = Gauge("hokusai_requests_in_flight", "Requests in progress.", registry=self.registry)
        self._requests = Counter(
            "hokusai_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "hokusai_request_seconds",
            "Time to the end of the response.",
            ["to"],
            buckets=_BUCKETS,
            registry=self.registry,
        )

        self._killed = Counter(
            "hokusai_mlflow_processes_killed",
            "MLflow processes that were killed in the middle of a request.",
            ["reason"],
            registry=self.registry,
        )

        self.tracking_bytes = Counter(
            "hokusai_tracking_stored_bytes", "Bytes that requests stored in MLflow.", registry=self.registry
        )
        self.damaged = Gauge(
            "hokusai_damaged_files", "Stored files that were read and do not fit their records.", registry=self.registry
        )
        self.damaged_downloads = Counter(
            "hokusai_damaged_downloads",
            "Downloads refused because the stored file does not fit its record.",
            registry=self.registry,
        )

    def count_killed(self, reason: str) -> None:
        self._killed.labels(reason).inc()

    def count(self, route: Route | None, status: int, seconds: float) -> None:
        method, path, to = (route.method, route.path, route.to) if route else ("other", "unlisted", "none")
        self._requests.labels(method, path, str(status)).inc()
        self._seconds.labels(to).observe(seconds)

    def render(self) -> bytes:
        return generate_latest(self.registry)
