"""Every metric and every label that the dashboard asks for is in ``/metrics`` of a server, also of one with workers."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.serving import Server, serving

DASHBOARD = json.loads((Path(__file__).parent.parent.parent / "deploy" / "grafana" / "hokusai.json").read_text())
SEARCH = "/api/2.0/mlflow/registered-models/search"
FILES = "/api/2.0/mlflow-artifacts/artifacts"

_SELECTOR = re.compile(r"(hokusai_\w+)(?:\{([^}]*)\})?")
_GROUPED = re.compile(r"by \(([^)]*)\) \((?:rate\()?(hokusai_\w+)")
_OF_LABELS = re.compile(r"label_values\((\w+), (\w+)\)")


def queries(part: Any) -> Iterator[str]:
    """Every text of the dashboard that is a query."""
    if isinstance(part, Mapping):
        for name, value in part.items():
            if name in {"expr", "query"} and isinstance(value, str) and "hokusai_" in value:
                yield value
            yield from queries(value)
    elif isinstance(part, list):
        for one in part:
            yield from queries(one)


def asked_for() -> set[tuple[str, str]]:
    """Pairs of a metric and a label of it; the label is empty where there is none."""
    found: set[tuple[str, str]] = set()
    for query in queries(DASHBOARD):
        for metric, matchers in _SELECTOR.findall(query):
            found |= {(metric, ""), *((metric, label) for label in re.findall(r"(\w+)\s*=~?\s*\"", matchers))}
        for labels, metric in _GROUPED.findall(query):
            found |= {(metric, label) for label in re.split(r",\s*", labels)}
        found |= set(_OF_LABELS.findall(query))
    return found


def samples(server: Server) -> list[Any]:
    with server.http() as http:
        text = http.get("/metrics").text
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def use(server: Server) -> None:
    """A bit of everything that is counted."""
    team = server.workspace("acme", expires="1d")
    with server.http(team.key) as http, server.http("") as nobody:
        assert http.put(f"{FILES}/a.bin", content=b"x" * 1000).is_success
        assert http.get(f"{FILES}/a.bin").content == b"x" * 1000
        assert http.get(SEARCH).is_success
        assert http.get(f"{FILES}/b.bin").status_code == 404
        assert nobody.get(SEARCH).status_code == 401


def total(server: Server, name: str, **labels: str) -> float:
    return sum(
        sample.value for sample in samples(server) if sample.name == name and labels.items() <= sample.labels.items()
    )


@pytest.fixture(scope="module")
def with_a_key_that_expires(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory: a server looks such keys up when it starts, and then twice a minute."""
    data = tmp_path_factory.mktemp("expires") / "data"
    with serving(data) as server:
        server.workspace("temporary", expires="1d")
    return data


@pytest.mark.parametrize("workers", [1, 2])
def test_the_dashboard_asks_for_what_there_is(with_a_key_that_expires: Path, tmp_path: Path, workers: int) -> None:
    settings = {"HOKUSAI_WORKERS": str(workers)}
    data = shutil.copytree(with_a_key_that_expires, tmp_path / "data")
    with serving(data, settings=settings) as server:
        use(server)
        wanted, end = asked_for(), time.monotonic() + 60
        assert len({metric for metric, _ in wanted}) >= 7
        while True:
            there = {(sample.name, label) for sample in samples(server) for label in ("", *sample.labels)}
            if wanted <= there or time.monotonic() > end:
                break
            time.sleep(0.1)
        assert wanted - there == set()
        assert total(server, "hokusai_workspace_sent_bytes_total", workspace="acme") > 1000
        assert total(server, "hokusai_workspace_received_bytes_total", workspace="acme") == 1000
        assert total(server, "hokusai_refusals_total", workspace="acme", code="HK4001") == 1
        assert total(server, "hokusai_refusals_total", workspace="_none", code="HK1101") == 1


def test_workers_are_counted_together_and_after_they_were_killed(tmp_path: Path) -> None:
    with serving(tmp_path / "data", settings={"HOKUSAI_WORKERS": "2"}) as server:
        team = server.workspace("acme")
        asked = 0

        def ask(count: int) -> None:
            nonlocal asked
            for _ in range(count):
                with server.http(team.key) as http:  # a connection of its own: any worker takes it
                    assert http.get(SEARCH).is_success
                asked += 1

        def counted() -> set[float]:
            return {total(server, "hokusai_workspace_requests_total", workspace="acme") for _ in range(6)}

        ask(40)
        assert counted() == {asked}
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        worker = next(one for one in children if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes())
        os.kill(int(worker), signal.SIGKILL)
        end = time.monotonic() + 60
        while sum("is ready" in line for line in list(server.errors)) < 3 and time.monotonic() < end:
            time.sleep(0.2)
        assert counted() == {asked}
        ask(40)
        assert counted() == {asked}
        assert not list((tmp_path / "data" / "metrics").glob("*_2.db"))
        server.stop()
        assert not (tmp_path / "data" / "metrics").exists()
