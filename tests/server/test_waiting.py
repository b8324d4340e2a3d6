"""A start during an outage waits and goes on. What can never work ends it at once: see ``tests/test_serve.py``."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

import httpx2
import pytest

from hokusai import data_directory, errors
from hokusai.server.waiting import outage_of
from tests import mlflow_tables
from tests.disks import filled
from tests.postgres import Postgres
from tests.serving import READY, WAITS, Server, logged, serving

SEARCH = "/api/2.0/mlflow/registered-models/search"
FILE = "/api/2.0/mlflow-artifacts/artifacts/a.bin"
NOWHERE = "postgresql://nobody:p%40ss@127.0.0.1:9/none"


def assert_waits(server: Server, layer: str, code: str) -> None:
    """What a load balancer, the doctor and clients see of a server that waits."""
    with server.http("hk_live_any") as client:
        assert client.get("/health").json() == {"status": "alive"}
        ready = client.get("/ready")
        assert (ready.status_code, ready.json()["ready"]) == (503, False)
        assert {name: check["code"] for name, check in ready.json()["checks"].items()} == {layer: code}
        for answer in (
            client.get(SEARCH),
            client.put(FILE, content=b"x" * 100_000),
            client.get("/"),
            client.head("/x"),
        ):
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0
            assert answer.headers["x-hokusai-code"] == code
        assert client.get(SEARCH).json()["hokusai"]["code"] == code
    assert "Traceback" not in "".join(server.errors)
    assert not READY.search("".join(server.errors))


def assert_ready(server: Server) -> None:
    server.url = logged(server, READY)
    with server.http() as client:
        ready = client.get("/ready")
        assert ready.status_code == 200, ready.text
        assert client.get("/api/v1/workspaces").status_code == 200
    assert len(WAITS.findall("".join(server.errors))) == 1  # it is said once


@pytest.mark.process
@pytest.mark.parametrize(
    ("arguments", "settings", "layer", "code"),
    [
        (["--role", "auth"], {"HOKUSAI_DATABASE_URL": NOWHERE}, "database", "HK5001"),
        (["--role", "auth"], {"HOKUSAI_DATABASE_URL": "postgresql://x@no-such.invalid/x"}, "database", "HK5001"),
        ([], {"HOKUSAI_TRACKING_URL": "http://127.0.0.1:9"}, "tracking", "HK3001"),
        ([], {"HOKUSAI_TRACKING_DATABASE_URL": NOWHERE}, "tracking", "HK3001"),
        (["--workers", "2"], {"HOKUSAI_TRACKING_URL": "http://127.0.0.1:9"}, "tracking", "HK3001"),
    ],
)
def test_what_is_not_there_is_waited_for_until_a_signal_comes(
    tmp_path: Path, arguments: list[str], settings: dict[str, str], layer: str, code: str
) -> None:
    given = {"HOKUSAI_KEY_PEPPER": "p"} | settings
    with serving(tmp_path / "data", *arguments, settings=given, until=WAITS) as server:
        assert_waits(server, layer, code)
        said = "".join(server.errors)
        assert next(iter(settings)) in said
        assert "p%40ss" not in said
        assert "p@ss" not in said
        began = time.monotonic()
        assert server.stop(signal.SIGTERM) == 0
        assert time.monotonic() - began < 10


@pytest.mark.process
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_database_that_comes_back(own_postgres: Postgres, tmp_path: Path, workers: str) -> None:
    settings = {"HOKUSAI_DATABASE_URL": own_postgres.create_database(), "HOKUSAI_KEY_PEPPER": "p"}
    own_postgres.stop()
    arguments = ("--role", "auth", "--workers", workers)
    with serving(tmp_path / "data", *arguments, settings=settings, until=WAITS) as server:
        assert_waits(server, "database", "HK5001")
        own_postgres.start()
        assert_ready(server)
        assert server.stop() == 0


@pytest.mark.process
def test_a_database_that_takes_no_writes_yet(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.create_database()
    name = url.rpartition("/")[2]
    postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    settings = {"HOKUSAI_DATABASE_URL": url, "HOKUSAI_KEY_PEPPER": "p"}
    with serving(tmp_path / "data", "--role", "auth", settings=settings, until=WAITS) as server:
        assert_waits(server, "database", "HK5002")
        postgres.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        assert_ready(server)


@pytest.mark.process
def test_a_full_disk(small_disk: Path) -> None:
    """At a start, and later: ``/ready`` says so, and everything goes on when there is space."""
    data = small_disk / "data"
    with data_directory.opened(data):
        shutil.copy(mlflow_tables._template() / "mlflow.db", data)
    with filled(small_disk):
        server_of = serving(data, until=WAITS)
        server = server_of.__enter__()
        assert_waits(server, "database", "HK5005")
        assert "space" in "".join(server.errors)
    try:
        assert_ready(server)
        with filled(small_disk):
            assert down(server, 3) == {
                "database": "HK5005",
                "auth": "HK5005",
                "artifacts": "HK4005",
                "tracking": "HK5005",
            }
        assert down(server, 0) == {}
    finally:
        server_of.__exit__(None, None, None)


def down(server: Server, parts: int, seconds: float = 20) -> dict[str, str]:
    """The codes in ``/ready``, as soon as at least so many parts are down, or none."""
    end = time.monotonic() + seconds
    while True:
        answer = httpx2.get(server.url + "/ready", trust_env=False)
        found = {name: check["code"] for name, check in answer.json()["checks"].items() if check["state"] == "down"}
        assert (answer.status_code == 200) is (not found)
        if (len(found) > parts if parts else not found) or time.monotonic() > end:
            return found
        time.sleep(0.5)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.DatabaseUnreachable(setting="HOKUSAI_DATABASE_URL", reason="", temporary=True), errors.DatabaseDown),
        (errors.DatabaseUnreachable(setting="HOKUSAI_DATABASE_URL", reason=""), None),
        (errors.TrackingUnreachable(where="", reason="", temporary=True), errors.TrackingDown),
        (errors.TrackingUnreachable(where="", reason=""), None),
        (errors.DatabaseReadOnly(), errors.DatabaseReadOnly),
        (errors.DatabaseCredentials(), None),
        (errors.ArtifactStoreUnusable(reason=""), None),
        (errors.SettingInvalid(setting="", reason=""), None),
        (errors.PepperChanged(), None),
    ],
)
def test_what_a_start_waits_for(error: errors.HokusaiError, expected: type[errors.HokusaiError] | None) -> None:
    found = outage_of(error)
    assert (found and type(found)) is expected
