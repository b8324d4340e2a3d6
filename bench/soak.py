"""``python -m bench.soak [--minutes 60] [--rate 20]``: the memory of a server under a mixed load, minute by minute.

It prints the resident memory of the gateway's process and of all its processes together, and at the end the slope of
the gateway's, in MB a minute, over the second half, with its standard error: flat is a slope within twice its error.
"""

from __future__ import annotations

import argparse
import itertools
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2

_V2 = "/api/2.0/mlflow"
_FILES = "/api/2.0/mlflow-artifacts/artifacts"
_CLIENTS = 4


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def served(directory: Path) -> Iterator[tuple[subprocess.Popen[bytes], str, str]]:
    """A server of its own: its process, its URL and a key of a workspace."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("hokusai")), "serve", "--data", str(directory), "--port", str(port)]
    limits = {"HOKUSAI_KEY_RATE": "100000/second", "HOKUSAI_WORKSPACE_RATE": "100000/second"}
    limits |= {"HOKUSAI_ADDRESS_RATE": "100000/second"}
    with (directory.parent / "log").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **limits}, stdout=subprocess.DEVNULL, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            time.sleep(0.1)
            if process.poll() is not None:
                raise SystemExit((directory.parent / "log").read_text())
            try:
                if httpx2.get(url + "/ready").is_success:
                    break
            except httpx2.TransportError:
                continue
        operator = {"Authorization": f"Bearer {(directory / 'operator.key').read_text().strip()}"}
        with httpx2.Client(base_url=url, headers=operator) as http:
            http.post("/api/v1/workspaces", json={"name": "soak"}).raise_for_status()
            made = http.post("/api/v1/keys", json={"name": "soak", "workspace": "soak", "permissions": ["admin"]})
            made.raise_for_status()
        yield process, url, made.json()["key"]
    finally:
        process.terminate()
        process.wait(60)


def client(http: httpx2.Client, name: str, seconds: float, stop: threading.Event, failures: list[str]) -> None:
    """A training run after the other: one request every ``seconds``."""
    with http:

        def ask(method: str, path: str, **body: object) -> httpx2.Response:
            stop.wait(seconds)
            answer = http.request(method, path, **body)  # type: ignore[arg-type]
            if answer.status_code >= 500:
                failures.append(f"{method} {path}: {answer.status_code}")
            return answer

        made = ask("POST", f"{_V2}/experiments/create", json={"name": name}).json()["experiment_id"]
        ask("POST", f"{_V2}/registered-models/create", json={"name": name})
        for number in itertools.count():
            if stop.is_set():
                return
            run = ask("POST", f"{_V2}/runs/create", json={"experiment_id": made}).json()["run"]["info"]["run_id"]
            for step in range(10):
                metric = {"run_id": run, "key": "loss", "value": 1 / (step + 1), "timestamp": step, "step": step}
                ask("POST", f"{_V2}/runs/log-metric", json=metric)
            metrics = [{"key": f"m{one}", "value": one, "timestamp": 1, "step": 0} for one in range(100)]
            ask("POST", f"{_V2}/runs/log-batch", json={"run_id": run, "metrics": metrics})
            place = f"{made}/{run}/artifacts/model"
            for file in range(4):
                ask("PUT", f"{_FILES}/{place}/{file}.bin", content=os.urandom(20_000 * (file + 1)))
            ask("GET", f"{_FILES}/{place}/3.bin")
            ask("DELETE", f"{_FILES}/{place}/0.bin")
            ask("GET", f"{_FILES}", params={"path": place})
            source = f"mlflow-artifacts:/{place}"
            version = {"name": name, "source": source, "run_id": run}
            ask("POST", f"{_V2}/model-versions/create", json=version)
            ask("POST", f"{_V2}/runs/search", json={"experiment_ids": [made], "max_results": 20})
            ask("GET", f"{_V2}/registered-models/get", params={"name": name})
            ask("GET", "/nowhere")
            if number % 10 == 0:
                ask("GET", "/api/v1/keys")


def sender(url: str, key: str) -> httpx2.Client:
    return httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60)


def resident(pid: int) -> int:
    """KiB; 0 for a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


def family(pid: int) -> list[int]:
    """A process and those that it and they have started."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += family(int(child))
    return found


def slope(minutes: Sequence[float], megabytes: Sequence[float]) -> tuple[float, float]:
    """Least squares: MB a minute, and the standard error of that."""
    found = statistics.linear_regression(minutes, megabytes)
    mean = statistics.fmean(minutes)
    spread = sum((one - mean) ** 2 for one in minutes)
    left = sum(
        (value - found.intercept - found.slope * one) ** 2 for one, value in zip(minutes, megabytes, strict=True)
    )
    return found.slope, (left / max(1, len(minutes) - 2) / spread) ** 0.5


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=20, help="requests a second, of all clients together")
    given = parser.parse_args()
    stop, failures = threading.Event(), list[str]()
    with tempfile.TemporaryDirectory() as place, served(Path(place) / "data") as (process, url, key):
        wait = _CLIENTS / given.rate
        clients = [
            threading.Thread(target=client, args=(sender(url, key), f"client-{number}", wait, stop, failures))
            for number in range(_CLIENTS)
        ]
        for one in clients:
            one.start()
        started, rows = time.monotonic(), list[tuple[float, float]]()
        try:
            while (minutes := (time.monotonic() - started) / 60) < given.minutes:
                time.sleep(15)
                own, all_of_them = resident(process.pid) / 1024, sum(map(resident, family(process.pid))) / 1024
                rows.append((minutes, own))
                print(f"{minutes:6.2f} min  gateway {own:6.1f} MB  all {all_of_them:7.1f} MB", flush=True)
        finally:
            stop.set()
            for one in clients:
                one.join()
        half = rows[len(rows) // 2 :]
        rising, error = slope([one for one, _ in half], [value for _, value in half])
        print(f"slope of the second half: {rising:+.3f} MB a minute, standard error {error:.3f}")
        print(f"answers of 5xx: {len(failures)} {failures[:3]}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
