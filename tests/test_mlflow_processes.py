"""A server's MLflow processes: what they are to the gateway, who ends with whom, and several that write at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from tests.serving import Server, Team, descendants, environment, run_hokusai, serving

pytestmark = pytest.mark.process

V2 = "/api/2.0/mlflow"
_START = """
import asyncio, json, sys
from hokusai.app import Application
from hokusai.settings import load

async def main():
    application = Application(load(data=sys.argv[1]))
    await application.start()
    status = open("/proc/self/status").read()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    heavy = {"mlflow", "flask", "numpy", "pandas"} & {name.partition(".")[0] for name in sys.modules}
    print(json.dumps([sorted(heavy), resident / 1024]))
    await application.close()

asyncio.run(main())
"""


def test_the_gateways_process_imports_no_mlflow_and_is_small(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", _START, str(tmp_path / "data")],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    heavy, mebibytes = json.loads(ran.stdout)
    assert not heavy
    assert mebibytes < 130, f"{mebibytes} MiB"


def test_a_setting_of_an_earlier_version_is_refused_by_name(tmp_path: Path) -> None:
    arguments = ("serve", "--data", str(tmp_path / "data"), "--port", "0")
    done = run_hokusai(*arguments, timeout=60, HOKUSAI_TRACKING_THREADS="16")
    assert done.returncode == 2
    assert "HOKUSAI_TRACKING_THREADS: it was removed" in done.stderr
    assert "HOKUSAI_TRACKING_PROCESSES" in done.stderr


def test_they_end_with_the_server(tmp_path: Path) -> None:
    with serving(tmp_path / "data", fork=False) as server:
        found = set(descendants(server.process.pid))
        assert len(found) >= 2, "the fork server, and at least one process"
        assert server.stop() == 0
        assert _ends(found, seconds=1), "there are still some"


def test_those_that_are_killed_are_replaced_and_they_end_with_a_server_that_is_killed(tmp_path: Path) -> None:
    with serving(tmp_path / "data", fork=False) as server:
        team = server.workspace("acme")
        with server.http(team.key) as http:
            assert http.post(f"{V2}/registered-models/create", json={"name": "one"}).is_success
            fork_server, *processes = descendants(server.process.pid)
            for pid in processes:
                os.kill(pid, signal.SIGKILL)
            answers = [http.get(f"{V2}/registered-models/get?name=one") for _ in range(10)]
            assert {answer.status_code for answer in answers} <= {200, 503}
            assert answers[-1].status_code == 200
            os.kill(fork_server, signal.SIGKILL)
            assert _ready_again(server, http)
        found = set(descendants(server.process.pid))
        assert len(found) >= 2
        server.process.kill()
        server.process.wait(30)
        assert _ends(found, seconds=10), "there are still some"


@pytest.fixture(params=["sqlite", "two workers"])
def busy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    arguments = ("--workers", "2") if request.param == "two workers" else ()
    with serving(tmp_path / "data", *arguments) as server:
        yield server


def test_workspaces_that_register_at_once_see_no_locked_database(busy: Server) -> None:
    teams = [busy.workspace(f"team-{number}") for number in range(4)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: _register(busy, teams[number % 4], number), range(48)))
    assert {status for statuses in found for status in statuses} == {200}


def _register(server: Server, team: Team, number: int) -> list[int]:
    """The statuses of what a client sends to register a model."""
    statuses: list[int] = []
    with server.http(team.key) as http:

        def post(path: str, **body: object) -> dict[str, dict[str, dict[str, str]]]:
            answer = http.post(V2 + path, json=body)
            statuses.append(answer.status_code)
            found: dict[str, dict[str, dict[str, str]]] = answer.json()
            return found

        run = post("/runs/create", experiment_id="0", start_time=1).get("run", {}).get("info", {}).get("run_id", "")
        batch = [{"key": f"m{one}", "value": 0.5, "timestamp": 1, "step": one} for one in range(50)]
        post("/runs/log-batch", run_id=run, metrics=batch, params=[{"key": "p", "value": "1"}])
        post("/registered-models/create", name=f"model-{number}")
        post("/model-versions/create", name=f"model-{number}", source=f"runs:/{run}/model", run_id=run)
        post("/runs/update", run_id=run, status="FINISHED", end_time=2)
    return statuses


def _ends(pids: set[int], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(_lives(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _ready_again(server: Server, http: httpx2.Client) -> bool:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if http.get("/ready").is_success and http.get(f"{V2}/registered-models/get?name=one").is_success:
            return True
        time.sleep(0.2)
    return False
