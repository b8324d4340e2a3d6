"""Floods of searches by a tenant with a key: each is allowed, and costs MLflow as much as one request can."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import sqlite3
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from bench.fairness.arena import Arena, Scenario

V2 = "/api/2.0/mlflow"
CLIENTS = 8
_PROFILE_BYTES = 3_900_000
_SECONDS = 120


def post(base: str, headers: Mapping[str, str], path: str, body: object, *, seconds: float = _SECONDS) -> int:
    """The status; the answer is read, and thrown away."""
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=seconds)
    with closing(connection):
        sent = {"Content-Type": "application/json", **headers}
        connection.request("POST", V2 + path, json.dumps(body), sent)
        answer = connection.getresponse()
        answer.read()
        return answer.status


def fill(database: Path, experiment: str, run: str, *, runs: int = 1000) -> None:
    """Rows that no request can make any more: a profile of 3.9 MB, linked to ``runs`` copies of a run."""
    dataset = uuid.uuid4().hex
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
        others = ", ".join(column for column in columns if column != "run_uuid")
        connection.execute(
            "INSERT INTO datasets VALUES (?, ?, 'large', 'd', 'local', '{}', '{}', ?)",
            (dataset, experiment, "x" * _PROFILE_BYTES),
        )
        for _ in range(runs):
            copy = uuid.uuid4().hex
            connection.execute(
                f"INSERT INTO runs (run_uuid, {others}) SELECT ?, {others} FROM runs WHERE run_uuid = ?",
                (copy, run),
            )
            connection.execute(
                "INSERT INTO inputs (input_uuid, source_type, source_id, destination_type, destination_id) "
                "VALUES (?, 'DATASET', ?, 'RUN', ?)",
                (uuid.uuid4().hex, dataset, copy),
            )


class Flood:
    """Clients of a workspace with the key ``key``, each with one search after the other, without pause."""

    def __init__(self, base: str, key: str, experiment: str) -> None:
        self._base = base
        self._headers = {"Authorization": f"Bearer {key}"}
        self._experiment = experiment
        self._rng = random.Random(28)

    def large_pages(self) -> int:
        """What ``fill`` made."""
        return self._search("/runs/search", {})

    def long_filters(self) -> int:
        return self._filtered(conditions=30)

    def refused_filters(self) -> int:
        return self._filtered(conditions=400)

    def gone_clients(self) -> int:
        """Does not wait for the answer."""
        with contextlib.suppress(TimeoutError):
            return self._search("/runs/search", {}, seconds=0.5)
        return 0

    def _filtered(self, *, conditions: int) -> int:
        """Each of another form: MLflow remembers those that it has compiled."""
        text = " and ".join(f"tags.a{self._rng.choice(('=', '!='))}'1'" for _ in range(conditions))
        return self._search("/logged-models/search", {"filter": text, "max_results": 1})

    def _search(self, path: str, fields: Mapping[str, object], *, seconds: float = _SECONDS) -> int:
        body = {"experiment_ids": [self._experiment], **fields}
        return post(self._base, self._headers, path, body, seconds=seconds)


FLOODS: Mapping[str, Callable[[Flood], int]] = {
    "large pages": Flood.large_pages,
    "filters of 30 conditions": Flood.long_filters,
    "filters of 400 conditions": Flood.refused_filters,
    "clients that have gone": Flood.gone_clients,
}


@contextmanager
def flooding(name: str, base: str, key: str, experiment: str) -> Iterator[Counter[int]]:
    """``CLIENTS`` clients in a process of their own until the block ends; then, the statuses that they got."""
    statuses: Counter[int] = Counter()
    command = [sys.executable, "-c", f"from {__name__} import main; main()", name, base, experiment]
    root = Path(__file__).parent.parent.parent
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdin is not None
        process.stdin.write(key + "\n")
        process.stdin.flush()
        try:
            yield statuses
        finally:
            found, _ = process.communicate(timeout=2 * _SECONDS)
            statuses.update({int(status): count for status, count in json.loads(found or "{}").items()})


def main() -> None:
    """The process of the clients: it reads the key, and ends with its standard input."""
    name, base, experiment = sys.argv[1:]
    flood = Flood(base, sys.stdin.readline().strip(), experiment)
    ended = threading.Event()
    found: Counter[int] = Counter()

    def repeat() -> None:
        while not ended.is_set():
            try:
                found[FLOODS[name](flood)] += 1
            except (OSError, http.client.HTTPException):
                found[-1] += 1

    threads = [threading.Thread(target=repeat, daemon=True) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join(_SECONDS)
    print(json.dumps(found))


def _scenario(name: str) -> Scenario:
    def standing(arena: Arena) -> AbstractContextManager[object]:
        key = arena.attacker["Authorization"].removeprefix("Bearer ")
        return flooding(name, arena.server.base, key, _filled(arena))

    return Scenario(f"searches: {name}", standing, _memory)


def _filled(arena: Arena) -> str:
    """The attacker's experiment, with the rows of ``fill`` in it."""
    headers = {"Content-Type": "application/json", **arena.attacker}
    with httpx2.Client(base_url=arena.server.base, headers=headers, timeout=60, trust_env=False) as http:
        found = http.get(f"{V2}/experiments/get-by-name?experiment_name=flood")
        if found.is_success:
            return str(found.json()["experiment"]["experiment_id"])
        experiment = str(http.post(f"{V2}/experiments/create", json={"name": "flood"}).json()["experiment_id"])
        run = http.post(f"{V2}/runs/create", json={"experiment_id": experiment, "start_time": 1}).json()["run"]["info"]
    fill(arena.server.session.log.parent / "data" / "mlflow.db", experiment, run["run_id"])
    return experiment


def _memory(arena: Arena) -> Mapping[tuple[str, str], float]:
    """Of all processes of the server."""
    return {("memory", "MB"): arena.server.session.size().pss / 1e6}


SCENARIOS = tuple(map(_scenario, FLOODS))
