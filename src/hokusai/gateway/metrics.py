"""Metrics for Prometheus. Labels come from the route table and from workspaces, so that strangers cannot add any.

One process counts in memory. Several workers count in files that all of them read (``shared_by_workers``): whichever
answers ``/metrics`` answers for all. A worker that takes the place of another one goes on in its files, so that nothing
that was counted is lost when a worker ends.
"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import prometheus_client.values
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from hokusai.gateway.exchange import Exchange
from hokusai.gateway.route import Route

_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

#: Labels that no workspace can have as its name.
OTHER, PLATFORM, NOBODY = "_other", "_platform", "_none"


def shared_by_workers(directory: Path, place: int) -> None:
    """Let this process count in files of ``directory``. To be called once, before any ``Metrics`` is made.

    ``place`` is the worker's number. A worker that replaces another one has its number, and its files. What is true of
    a process only while it lives is forgotten.
    """
    forget_worker(directory, place)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    prometheus_client.values.ValueClass = prometheus_client.values.MultiProcessValue(lambda: place)  # type: ignore[no-untyped-call]


def forget_worker(directory: Path, place: int) -> None:
    """What only a living worker has: its requests in progress."""
    for gauge in directory.glob(f"gauge_live*_{place}.db"):
        gauge.unlink(missing_ok=True)


class WorkspaceLabels:
    """The label of each workspace: its name for the first ``size`` that send a request, then ``OTHER``.

    A workspace keeps its label as long as the server runs, in every worker (by a file that they share): a counter that
    moved from one label to another would look like a jump of both.
    """

    def __init__(self, size: int, file: Path | None = None) -> None:
        self._size = size
        self._file = file
        self._known: dict[str, str] = {}

    def of(self, workspace: str) -> str:
        label = self._known.get(workspace)
        if label is None:
            label = self._known[workspace] = self._decided(workspace)
        return label

    def _decided(self, workspace: str) -> str:
        if self._file is None:
            named = sum(label != OTHER for label in self._known.values())
            return workspace if named < self._size else OTHER
        with self._file.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            named_by_all = file.read().split()
            if workspace in named_by_all:
                return workspace
            if len(named_by_all) >= self._size:
                return OTHER
            file.write(workspace + "\n")
        return workspace


class Metrics:
    """The metrics of this server; ``render`` returns them in the text exposition format 0.0.4.

    ``directory`` is where several workers count together, after ``shared_by_workers``. At most ``max_workspaces`` have
    a label of their own. Other parts of the process register their metrics in ``own``; ``registry`` has those of all
    workers. A gauge needs a ``multiprocess_mode``, and ``set``: a function of it would not be called for other workers.
    """

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self, *, directory: Path | None = None, max_workspaces: int = 100) -> None:
        registry = CollectorRegistry()
        self._labels = WorkspaceLabels(max_workspaces, directory / "workspaces" if directory else None)
        self._expiries: Mapping[str | None, datetime] = {}
        self.in_flight = Gauge(
            "hokusai_requests_in_flight", "Requests in progress.", registry=registry, multiprocess_mode="livesum"
        )
        self._requests = Counter(
            "hokusai_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "hokusai_request_seconds",
            "Time to the end of the response.",
            ["to"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._of_workspace = Counter(
            "hokusai_workspace_requests",
            "Requests answered, by workspace and class of status.",
            ["workspace", "status"],
            registry=registry,
        )
        self._received = Counter(
            "hokusai_workspace_received_bytes", "Bytes of request bodies.", ["workspace"], registry=registry
        )
        self._sent = Counter(
            "hokusai_workspace_sent_bytes", "Bytes of response bodies.", ["workspace"], registry=registry
        )
        self._refusals = Counter(
            "hokusai_refusals",
            "Requests refused, by workspace and error code.",
            ["workspace", "code"],
            registry=registry,
        )
        self._killed = Counter(
            "hokusai_mlflow_processes_killed",
            "MLflow processes that were killed in the middle of a request.",
            ["reason"],
            registry=registry,
        )
        self.tracking_bytes = Counter(
            "hokusai_tracking_stored_bytes", "Bytes that requests stored in MLflow.", registry=registry
        )
        self.damaged = Gauge(
            "hokusai_damaged_files",
            "Stored files that were read and do not fit their records.",
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.damaged_downloads = Counter(
            "hokusai_damaged_downloads",
            "Downloads refused because the stored file does not fit its record.",
            registry=registry,
        )

        self._findings = Gauge(
            "hokusai_fsck_findings",
            "What does not fit between stored files and their records, in the last comparison in the background.",
            ["kind"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.own = self.registry = registry
        if directory is not None:
            self.registry = CollectorRegistry()
            self.registry.register(_SharedFiles(directory))
        self.registry.register(self)

    def count_killed(self, reason: str) -> None:
        self._killed.labels(reason).inc()

    def find(self, findings: Mapping[str, int]) -> None:
        """What the last comparison of stored files with their records has found, by kind."""
        for kind, count in findings.items():
            self._findings.labels(str(kind)).set(count)

    def count(self, route: Route | None, exchange: Exchange) -> None:
        """Count a request that has ended."""
        status, seconds = exchange.status, exchange.seconds
        method, path, to = (route.method, route.path, route.to) if route else ("other", "unlisted", "none")
        self._requests.labels(method, path, str(status)).inc()
        self._seconds.labels(to).observe(seconds)
        workspace = self._label(exchange)
        self._of_workspace.labels(workspace, f"{status // 100}xx").inc()
        if exchange.received:
            self._received.labels(workspace).inc(exchange.received)
        if exchange.sent:
            self._sent.labels(workspace).inc(exchange.sent)
        if exchange.code:
            self._refusals.labels(workspace, exchange.code).inc()

    def expire(self, ends: Mapping[str | None, datetime]) -> None:
        """When the next key of each workspace expires; None stands for platform keys."""
        self._expiries = ends

    def collect(self) -> Iterator[Any]:
        """The seconds until then, now."""
        found = GaugeMetricFamily(
            "hokusai_workspace_key_expiry_seconds",
            "Seconds until the next key of a workspace expires.",
            labels=["workspace"],
        )
        now = datetime.now(UTC)
        next_ends: dict[str, float] = {}
        for workspace, end in self._expiries.items():
            label = PLATFORM if workspace is None else self._labels.of(workspace)
            seconds = max(0.0, (end - now).total_seconds())
            next_ends[label] = min(seconds, next_ends.get(label, seconds))
        for label, seconds in next_ends.items():
            found.add_metric([label], seconds)
        yield found

    def render(self) -> bytes:
        return generate_latest(self.registry)

    def _label(self, exchange: Exchange) -> str:
        if exchange.principal is None:
            return NOBODY
        workspace = exchange.principal.workspace
        return PLATFORM if workspace is None else self._labels.of(workspace)


class _SharedFiles:
    """The files of all workers, added up."""

    def __init__(self, directory: Path) -> None:
        self._collector = MultiProcessCollector(None, str(directory))  # type: ignore[no-untyped-call]
        self._reading = threading.Lock()

    def collect(self) -> Iterator[Any]:
        with self._reading:
            for _ in range(20):
                try:
                    found = list(self._collector.collect())  # type: ignore[no-untyped-call]
                    break
                except (struct.error, ValueError):  # a worker creates its file in this moment
                    time.sleep(0.005)
            else:
                found = list(self._collector.collect())  # type: ignore[no-untyped-call]
        yield from found
