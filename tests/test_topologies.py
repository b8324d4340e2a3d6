"""The same promises when the parts are separate: PostgreSQL, a separate MLflow, a separate auth service."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
import pytest

from hokusai.doctor import CHECKS, Target, chosen, examine
from tests.postgres import Postgres
from tests.serving import Server, Team, serving
from tests.stock.environments import Environment, scenario
from tests.stock.server import StockServer

SEARCH = "/api/2.0/mlflow/registered-models/search"
FILES = "/api/2.0/mlflow-artifacts/artifacts"


@dataclass
class Hosts:
    """An auth host and a registry host."""

    auth: Server
    registry: Server
    team: Team


@pytest.fixture(scope="module")
def hosts(postgres: Postgres, stock_server: StockServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Everything separate: two hosts, each with its own PostgreSQL database, and a stock MLflow."""
    place = tmp_path_factory.mktemp("hosts")
    auth_settings = {"HOKUSAI_DATABASE_URL": postgres.create_database(), "HOKUSAI_KEY_PEPPER": "a pepper"}
    with serving(place / "auth", "--role", "auth", settings=auth_settings) as auth:
        service = auth.key(None, permissions=["service"])
        registry_settings = {
            "HOKUSAI_DATABASE_URL": postgres.create_database(),
            "HOKUSAI_AUTH_URL": auth.url,
            "HOKUSAI_AUTH_PUBLIC_URL": auth.url,
            "HOKUSAI_AUTH_SERVICE_KEY": service.key,
            "HOKUSAI_TRACKING_URL": stock_server.url,
        }
        with serving(place / "registry", "--role", "registry", settings=registry_settings) as registry:
            yield Hosts(auth, registry, auth.workspace("apart"))


@pytest.mark.timeout(300)
def test_a_stock_client_registers_with_everything_apart(hosts: Hosts, stock_317: Environment, tmp_path: Path) -> None:
    found = hosts.registry.url
    seen = scenario(stock_317, f"{found}/api/mlflow", hosts.team.key, tmp_path)
    assert "models:delete" in seen["refused"]


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_stock_client_registers_on_postgres(postgres: Postgres, stock_317: Environment, tmp_path: Path) -> None:
    settings = {"HOKUSAI_DATABASE_URL": postgres.create_database()}
    (tmp_path / "client").mkdir()
    with serving(tmp_path / "data", settings=settings) as server:
        team = server.workspace("on-postgres")
        scenario(stock_317, f"{server.url}/api/mlflow", team.key, tmp_path / "client")
    assert not (tmp_path / "data" / "hokusai.db").exists()
    assert not (tmp_path / "data" / "mlflow.db").exists()


def test_replicas_on_one_database_know_the_same_keys(postgres: Postgres, tmp_path: Path) -> None:
    settings = {"HOKUSAI_DATABASE_URL": postgres.create_database(), "HOKUSAI_ARTIFACTS_URL": (tmp_path / "a").as_uri()}
    with serving(tmp_path / "1", settings=settings) as one, serving(tmp_path / "2", settings=settings) as two:
        team = one.workspace("replicas")
        with one.http(team.key) as first, two.http(team.key) as second:
            assert first.put(f"{FILES}/x.txt", content=b"x").is_success
            answer = second.get(f"{FILES}/x.txt")
            assert (answer.content, bool(answer.headers["repr-digest"])) == (b"x", True)
            with one.http() as operator:
                assert operator.delete(f"/api/v1/keys/{team.key_id}").is_success
            revoked = time.monotonic()
            assert first.get(SEARCH).status_code == 401
            assert refused_since(revoked, second) == 401
            assert second.get(SEARCH).json()["hokusai"]["code"] == "HK1105"
        assert not (tmp_path / "2" / "operator.key").exists()


def refused_since(revoked: float, client: httpx2.Client) -> int:
    """The status of the refusal; no request that is sent 2 seconds after ``revoked`` is answered otherwise."""
    while True:
        asked = time.monotonic()
        if (status := client.get(SEARCH).status_code) != 200:
            return status
        assert asked - revoked < 2
        time.sleep(0.05)


def test_a_registry_has_no_auth_routes_and_an_auth_host_no_registry(hosts: Hosts) -> None:
    with hosts.auth.http(hosts.team.key) as client:
        assert client.get(SEARCH).json()["hokusai"]["code"] == "HK1001"
    with hosts.registry.http(hosts.team.key) as client:
        answer = client.get("/api/v1/keys/self")
        assert (answer.status_code, answer.json()["hokusai"]["code"]) == (404, "HK2008")
        assert hosts.auth.url in answer.json()["message"]
        assert client.get(SEARCH).status_code == 200


async def test_the_doctor_proves_two_hosts_and_sees_them_swapped(hosts: Hosts) -> None:
    target = Target(url=hosts.registry.url, auth_url=hosts.auth.url, key=hosts.team.key)
    checks = chosen(CHECKS, ["routing", "auth"])
    assert (await examine(target, checks)).ok
    swapped = await examine(replace(target, url=hosts.auth.url, auth_url=hosts.registry.url), checks)
    assert [one.fault.id for one in swapped.diagnosis][:1] == ["hosts-swapped"]


async def test_the_doctor_proves_a_plain_mlflow(stock_server: StockServer) -> None:
    report = await examine(Target(url=stock_server.url, kind="mlflow"), chosen(CHECKS, ["artifacts", "reload"]))
    assert report.ok, report.document()


def test_ready_on_each_host_names_its_own_parts(hosts: Hosts) -> None:
    for server, parts in (
        (hosts.auth, {"database", "auth"}),
        (hosts.registry, {"database", "auth", "artifacts", "tracking"}),
    ):
        found = httpx2.get(f"{server.url}/ready", trust_env=False).json()
        assert found["ready"], found
        assert set(found["checks"]) == parts


def test_a_revoked_key_is_refused_elsewhere_within_two_seconds(hosts: Hosts) -> None:
    team = hosts.auth.key("apart")
    with hosts.registry.http(team.key) as client, hosts.auth.http() as operator:
        assert client.get(SEARCH).status_code == 200
        assert operator.delete(f"/api/v1/keys/{team.key_id}").is_success
        revoked = time.monotonic()
        assert refused_since(revoked, client) == 401
        answer = client.get(SEARCH)
        assert answer.json()["hokusai"]["code"] == "HK1105"


def test_an_outage_of_the_auth_service_is_503_never_401(
    hosts: Hosts, postgres: Postgres, stock_server: StockServer, tmp_path: Path
) -> None:
    auth_settings = {"HOKUSAI_DATABASE_URL": postgres.create_database()}
    with serving(tmp_path / "auth", "--role", "auth", settings=auth_settings) as auth:
        service, team = auth.key(None, permissions=["service"]), auth.workspace("outage")
        settings = {
            "HOKUSAI_AUTH_URL": auth.url,
            "HOKUSAI_AUTH_SERVICE_KEY": service.key,
            "HOKUSAI_TRACKING_URL": stock_server.url,
        }
        place = tmp_path / "registry"
        with serving(place, "--role", "registry", settings=settings) as registry, registry.http(team.key) as client:
            assert client.get(SEARCH).status_code == 200
            assert auth.stop() == 0
            time.sleep(1.6)
            answer = client.get(SEARCH)
            assert (answer.status_code, answer.json()["hokusai"]["code"]) == (503, "HK2006")
            assert int(answer.headers["retry-after"]) > 0
            ready = client.get("/ready").json()
            assert {name for name, check in ready["checks"].items() if check["state"] == "down"} == {"auth"}
            assert ready["checks"]["auth"]["fault"] == "auth-service-down"


def test_an_outage_of_the_database_is_503_and_passes(own_postgres: Postgres, tmp_path: Path) -> None:
    settings = {"HOKUSAI_DATABASE_URL": own_postgres.create_database()}
    with serving(tmp_path / "data", settings=settings) as server:
        team = server.workspace("patient")
        with server.http(team.key) as client:
            assert client.get(SEARCH).status_code == 200
            own_postgres.stop()
            try:
                time.sleep(1.6)
                answer = client.get(SEARCH)
                assert (answer.status_code, answer.json()["hokusai"]["code"]) == (503, "HK5001")
                assert client.get("/health").status_code == 200
                assert client.get("/ready").status_code == 503
            finally:
                own_postgres.start()
            end = time.monotonic() + 15
            while client.get(SEARCH).status_code != 200:
                assert time.monotonic() < end
                time.sleep(0.2)


def test_an_outage_of_mlflows_own_database_is_503_and_passes(own_postgres: Postgres, tmp_path: Path) -> None:
    settings = {"HOKUSAI_TRACKING_DATABASE_URL": own_postgres.create_database()}
    with serving(tmp_path / "data", settings=settings) as server:
        team = server.workspace("patient")
        with server.http(team.key) as client:
            assert client.get(SEARCH).status_code == 200
            own_postgres.stop()
            try:
                for _ in range(3):
                    answer = client.get(SEARCH)
                    assert (answer.status_code, answer.json()["hokusai"]["code"]) == (503, "HK3001")
                    assert int(answer.headers["retry-after"]) > 0
            finally:
                own_postgres.start()
            end = time.monotonic() + 15
            while client.get(SEARCH).status_code != 200:
                assert time.monotonic() < end
                time.sleep(0.2)


def test_an_outage_of_mlflow_is_503_and_names_it(hosts: Hosts, stock_317: Environment, tmp_path: Path) -> None:
    mlflow = StockServer(stock_317, tmp_path).wait()
    try:
        with serving(tmp_path / "data", settings={"HOKUSAI_TRACKING_URL": mlflow.url}) as server:
            team = server.workspace("alone")
            with server.http(team.key) as client:
                assert client.get(SEARCH).status_code == 200
                mlflow.stop()
                answer = client.get(SEARCH)
                assert (answer.status_code, answer.json()["hokusai"]["code"]) == (503, "HK3001")
                assert mlflow.url not in answer.text
                assert client.put(f"{FILES}/still.txt", content=b"works").is_success
    finally:
        mlflow.stop()
