"""End to end against a running server: every function of the SDK, and its effects."""

from __future__ import annotations

import dataclasses
import subprocess
import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hokusai import ApiError, Client, Progress, Quota, Use, errors
from tests.serving import Server, Team
from tests.serving import environment as clean
from tests.stock.environments import environment

FILES = {
    "MLmodel": b"flavors: {}\n",
    "data/we ird & näme +.bin": b"\x00\xff" * 700_000,
    "data/deep/empty": b"",
    "模型.txt": b"x",
}


@pytest.fixture(scope="module")
def team(server: Server) -> Team:
    return server.workspace("sdk")


@pytest.fixture
def client(server: Server, team: Team) -> Iterator[Client]:
    with Client(server.url, team.key) as client:
        yield client


@pytest.fixture(scope="module")
def operator(server: Server) -> Iterator[Client]:
    with Client(server.url, server.operator_key) as client:
        yield client


@pytest.fixture
def model(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        path = tmp_path / "model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "model"


def content(directory: Path) -> dict[str, bytes]:
    return {p.relative_to(directory).as_posix(): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def refused(code: str, call, *arguments: object, **options: object) -> ApiError:
    with pytest.raises(ApiError) as caught:
        call(*arguments, **options)
    assert caught.value.code == code, caught.value
    assert caught.value.request_id
    return caught.value


def test_what_was_registered_comes_back(client: Client, model: Path, tmp_path: Path) -> None:
    name = "it's & größe"
    version = client.register(model, name, description="first", tags={"team": "ü"})
    assert (version.name, version.version, version.status) == (name, 1, "READY")
    assert (version.description, dict(version.tags)) == ("first", {"team": "ü"})
    assert abs(version.created_at - datetime.now(UTC)) < timedelta(minutes=5)
    assert client.pull(version.uri, tmp_path / "copy") == tmp_path / "copy"
    assert content(tmp_path / "copy") == FILES


def test_a_file_alone_is_a_model_too(client: Client, model: Path, tmp_path: Path) -> None:
    version = client.register(model / "模型.txt", "single")
    client.pull(version.uri, tmp_path / "copy")
    assert content(tmp_path / "copy") == {"模型.txt": b"x"}


def test_versions_are_found_by_number_latest_and_alias(server: Server, client: Client, team: Team, model: Path) -> None:
    first, second = client.register(model, "found"), client.register(model, "found")
    with server.http(team.key) as http:
        alias = {"name": "found", "alias": "champion", "version": "1"}
        assert http.post("/api/2.0/mlflow/registered-models/alias", json=alias).is_success
    assert [version.version for version in client.models.versions("found")] == [2, 1]
    assert client.models.find("models:/found/latest").version == second.version == 2
    assert client.models.find("models:/found@champion").version == first.version == 1
    found = client.models.get("found")
    assert (found.latest, dict(found.aliases)) == (2, {"champion": 1})
    assert found in client.models.list()
    refused("HK3005", client.models.find, "models:/found/9")
    refused("HK3005", client.models.get, "absent")
    assert client.models.versions("absent") == ()


def test_a_failed_pull_leaves_nothing(client: Client, tmp_path: Path) -> None:
    refused("HK3005", client.pull, "models:/absent/1", tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


def test_another_team_sees_nothing_of_it(server: Server, client: Client, model: Path, tmp_path: Path) -> None:
    version = client.register(model, "private")
    with Client(server.url, server.workspace("sdk-other").key) as other:
        assert other.models.list() == ()
        refused("HK3005", other.models.get, "private")
        refused("HK3005", other.pull, version.uri, tmp_path / "copy")


def test_a_read_key_registers_nothing(server: Server, client: Client, team: Team, model: Path, tmp_path: Path) -> None:
    version = client.register(model, "readable")
    with Client(server.url, server.key(team.name, permissions=["read"]).key) as reader:
        error = refused("HK1201", reader.register, model, "never")
        assert error.status == 403
        assert "models:write" in str(error)
        reader.pull(version.uri, tmp_path / "copy")
    refused("HK3005", client.models.get, "never")


def test_an_operator_key_reaches_no_models(operator: Client, model: Path) -> None:
    refused("HK1206", operator.register, model, "m")


def test_wrong_keys_are_told_apart(server: Server, team: Team) -> None:
    with Client(server.url, team.key[:-1] + ("a" if team.key[-1] != "a" else "b")) as client:
        refused("HK1102", client.keys.self)
    with Client(server.url, "password") as client:
        refused("HK1102", client.models.list)


def test_files_of_any_size_need_little_memory(client: Client, tmp_path: Path) -> None:
    size = 64 * 2**20
    with (tmp_path / "big").open("wb") as file:
        file.truncate(size)
    steps: list[Progress] = []
    tracemalloc.start()
    try:
        version = client.register(tmp_path / "big", "big", progress=steps.append)
        client.pull(version.uri, tmp_path / "copy", progress=steps.append)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (tmp_path / "copy" / "big").stat().st_size == size
    assert peak < size / 4
    assert steps[-1].done == steps[-1].total == size


def test_workspaces(operator: Client, server: Server) -> None:
    made = operator.workspaces.create("sdk-ws")
    assert (made.name, made.suspended_at) == ("sdk-ws", None)
    assert operator.workspaces.get("sdk-ws") == dataclasses.replace(made, use=Use())
    assert made in operator.workspaces.list()
    assert operator.workspaces.set("sdk-ws", files=3).quota == Quota(files=3)
    refused("HK2002", operator.workspaces.create, "sdk-ws")
    refused("HK2003", operator.workspaces.create, "No Name")
    refused("HK2001", operator.workspaces.get, "sdk-nobody")
    key = operator.keys.create("k", workspace="sdk-ws").key
    with Client(server.url, key) as client:
        assert client.models.list() == ()
        refused("HK1201", client.workspaces.list)
        assert operator.workspaces.suspend("sdk-ws").suspended_at is not None
        refused("HK1204", client.models.list)
        assert operator.workspaces.resume("sdk-ws").suspended_at is None
        assert client.models.list() == ()


def test_keys(operator: Client, server: Server, team: Team) -> None:
    made = operator.keys.create(
        "ci",
        workspace=team.name,
        permissions=["models:read", "runs:read"],
        expires="90d",
        rate="1000/h",
        allow_ips=["127.0.0.0/8", "::1"],
        environment="test",
    )
    facts = made.facts
    assert made.key.startswith("hk_test_")
    assert made.key not in repr(made)
    assert made.key.startswith(facts.hint)
    assert (facts.workspace, facts.environment, facts.state) == (team.name, "test", "active")
    assert set(facts.permissions) == {"models:read", "runs:read"}
    assert facts.rate_limit_per_hour == 1000
    assert set(facts.allow_ips) == {"127.0.0.0/8", "::1/128"}
    assert facts.expires_at
    assert abs(facts.expires_at - facts.created_at - timedelta(days=90)) < timedelta(minutes=1)
    assert operator.keys.get(facts.key_id) == facts
    assert facts in operator.keys.list(team.name)
    assert facts in operator.keys.list()
    with Client(server.url, made.key) as client:
        assert client.keys.self() == facts
    refused("HK2004", operator.keys.get, "key_nobody")
    refused("HK2005", operator.keys.create, "k", workspace=team.name, expires="soon")


def test_a_key_is_rotated_and_revoked(operator: Client, server: Server, team: Team) -> None:
    old = operator.keys.create("old", workspace=team.name)
    new = operator.keys.rotate(old.facts.key_id, overlap="1h")
    assert operator.keys.get(old.facts.key_id).rotated_to == new.facts.key_id
    assert new.facts.permissions == old.facts.permissions
    with Client(server.url, old.key) as before, Client(server.url, new.key) as after:
        assert before.models.list() == after.models.list()
        assert operator.keys.revoke(new.facts.key_id).state == "revoked"
        refused("HK1105", after.models.list)
        assert operator.keys.revoke(new.facts.key_id).state == "revoked", "revoking again changes nothing"
        before.models.list()


def test_a_team_makes_its_own_keys_and_none_stronger(operator: Client, server: Server, team: Team) -> None:
    admin = operator.keys.create("admin", workspace=team.name, permissions=["admin"], expires="1d")
    with Client(server.url, admin.key) as client:
        made = client.keys.create("from admin", permissions=["read"])
        assert made.facts.workspace == team.name
        assert made.facts.expires_at == admin.facts.expires_at
        refused("HK1207", client.keys.create, "longer", expires="90d")
        assert {key.workspace for key in client.keys.list()} == {team.name}


def test_usage_is_counted(operator: Client, server: Server, team: Team) -> None:
    key = operator.keys.create("used", workspace=team.name)
    with Client(server.url, key.key) as client:
        client.models.list()
    end = time.monotonic() + 30
    while operator.usage(key.facts.key_id).requests == 0 and time.monotonic() < end:
        time.sleep(0.2)
    usage = operator.usage(key.facts.key_id, hours=2)
    assert (usage.key_id, usage.requests, usage.refused) == (key.facts.key_id, 1, 0)
    assert [(hour.requests, hour.hour.minute) for hour in usage.hours] == [(1, 0)]


def test_the_server_tells_its_state_to_anybody(server: Server) -> None:
    with Client(server.url) as client:
        found = client.ready()
        assert found.ready
        assert {part.state for part in found.parts.values()} == {"ok"}
        assert {"database", "tracking", "artifacts", "auth"} <= set(found.parts)
        assert set(client.version()) == {"version", "mlflow"}


SAVE = """
import mlflow.sklearn
from sklearn.linear_model import LinearRegression
mlflow.sklearn.save_model(LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0]), "model")
"""
LOAD = """
import mlflow.pyfunc
print(round(float(mlflow.pyfunc.load_model("models:/line/1").predict([[3.0]])[0]), 6))
"""


@pytest.mark.stock
@pytest.mark.timeout(600)
def test_stock_mlflow_loads_what_was_registered(client: Client, tmp_path: Path) -> None:
    python = environment("3.17.2").program("python")

    def run(code: str, **variables: str) -> str:
        ran = subprocess.run(
            [python, "-W", "ignore", "-c", code],
            cwd=tmp_path,
            env=clean(MLFLOW_DISABLE_TELEMETRY="true", **variables),
            capture_output=True,
            text=True,
            timeout=170,
        )
        assert ran.returncode == 0, ran.stderr[-3000:]
        return ran.stdout

    run(SAVE)
    client.register(tmp_path / "model", "line")
    assert run(LOAD, **client.env()).strip() == "6.0"


def test_a_link_out_of_the_model_is_not_followed(client: Client, model: Path) -> None:
    (model / "link").symlink_to("/etc/hostname")
    with pytest.raises(errors.PathUnusable):
        client.register(model, "leaky")
    refused("HK3005", client.models.get, "leaky")
