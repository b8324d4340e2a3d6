"""Metrics by workspace: bounded in number, and the same whichever worker answers."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from hokusai.gateway import Exchange, Metrics, forget_worker
from hokusai.gateway.metrics import WorkspaceLabels
from hokusai.identity import Principal

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def exchange(workspace: str | None, status: int = 200, **facts: Any) -> Exchange:
    principal = Principal("key_1", "user", workspace, frozenset())
    return Exchange("r", "192.0.2.1", None, principal=principal, status=status, **facts)


def read(metrics: Metrics) -> Samples:
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, tuple(sorted(labels.items()))), 0)


def test_requests_bytes_and_refusals_of_a_workspace() -> None:
    metrics = Metrics()
    metrics.count(None, exchange("acme", received=10, sent=100))
    metrics.count(None, exchange("acme", 404, code="HK4001", sent=5))
    metrics.count(None, exchange(None, 201))
    metrics.count(None, Exchange("r", "192.0.2.1", None, status=401, code="HK1101"))
    found = read(metrics)
    assert value(found, "hokusai_workspace_requests_total", workspace="acme", status="2xx") == 1
    assert value(found, "hokusai_workspace_requests_total", workspace="acme", status="4xx") == 1
    assert value(found, "hokusai_workspace_requests_total", workspace="_platform", status="2xx") == 1
    assert value(found, "hokusai_workspace_received_bytes_total", workspace="acme") == 10
    assert value(found, "hokusai_workspace_sent_bytes_total", workspace="acme") == 105
    assert value(found, "hokusai_refusals_total", workspace="acme", code="HK4001") == 1
    assert value(found, "hokusai_refusals_total", workspace="_none", code="HK1101") == 1


def test_workspaces_are_bounded_and_keep_their_label() -> None:
    metrics = Metrics(max_workspaces=3)
    for _ in range(2):
        for number in range(50):
            metrics.count(None, exchange(f"team-{number}"))
    found = read(metrics)
    labels = {
        dict(labels)["workspace"]: count
        for (name, labels), count in found.items()
        if "workspace_requests" in name and name.endswith("_total")
    }
    assert labels == {"team-0": 2, "team-1": 2, "team-2": 2, "_other": 94}


def test_workers_agree_about_labels(tmp_path: Path) -> None:
    one, other = (WorkspaceLabels(2, tmp_path / "workspaces") for _ in range(2))
    assert [one.of("a"), other.of("b"), other.of("a"), one.of("c"), other.of("c"), one.of("b")] == [
        *("a", "b", "a", "_other", "_other", "b"),
    ]


def test_the_next_key_to_expire() -> None:
    metrics = Metrics(max_workspaces=1)
    now = datetime.now(UTC)
    metrics.expire(
        {
            "acme": now + timedelta(days=1),
            "beta": now + timedelta(days=9),
            "gamma": now + timedelta(days=3),
            None: now - timedelta(seconds=1),
        }
    )
    found = read(metrics)
    name = "hokusai_workspace_key_expiry_seconds"
    assert 86000 < value(found, name, workspace="acme") <= 86400
    assert 2.9 * 86400 < value(found, name, workspace="_other") <= 3 * 86400
    assert value(found, name, workspace="_platform") == 0


#: A worker: counts some requests, tells that it is ready, and ends when it is told to, or is killed.
_WORKER = """
import json, sys
from pathlib import Path
from hokusai.gateway import Exchange, Metrics, shared_by_workers
from hokusai.identity import Principal
directory, place = Path(sys.argv[1]), int(sys.argv[2])
shared_by_workers(directory, place)
metrics = Metrics(directory=directory)
principal = Principal("key_1", "user", "acme", frozenset())
for _ in range(100):
    metrics.count(None, Exchange("r", "192.0.2.1", None, principal=principal, status=200, sent=10))
metrics.in_flight.set(3)
print("ready", flush=True)
sys.stdin.readline()
print(json.dumps(metrics.render().decode()), flush=True)
"""


def worker(directory: Path, place: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", _WORKER, str(directory), str(place)]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_what_a_worker_counted_outlives_it(tmp_path: Path) -> None:
    first, second = worker(tmp_path, 0), worker(tmp_path, 1)
    first.kill()
    first.communicate()
    forget_worker(tmp_path, 0)
    third = worker(tmp_path, 0)  # in the place of the first one
    shown, _ = third.communicate("\n")
    second.communicate("\n")
    text = json.loads(shown)
    assert 'hokusai_workspace_requests_total{status="2xx",workspace="acme"} 300.0' in text
    assert 'hokusai_workspace_sent_bytes_total{workspace="acme"} 3000.0' in text
    assert "hokusai_requests_in_flight 6.0" in text
    assert len(list(tmp_path.glob("counter_*.db"))) == 2
