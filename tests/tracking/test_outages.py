"""An outage of MLflow's database is 503, whatever MLflow makes of it: on every open route, at every statement."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hokusai import errors
from hokusai.gateway import table
from hokusai.gateway.route import Route
from hokusai.tracking import Limits, ProcessEngine
from hokusai.tracking.processes import fork_server_client
from tests import forked, mlflow_tables
from tests.disks import filled
from tests.postgres import Postgres, connect

pytestmark = pytest.mark.process

V2 = "/api/2.0/mlflow"


@pytest.fixture(autouse=True)
def from_the_fork_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of this test run, which has imported MLflow already."""
    monkeypatch.setattr(fork_server_client, "PYTHON", forked.python())


class Mlflow:
    """An engine, and requests to it as the gateway sends them."""

    def __init__(self, engine: ProcessEngine) -> None:
        self.engine = engine
        self._http = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=engine),
            base_url="http://localhost",
        )

    async def __aenter__(self) -> Mlflow:
        await self.engine.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()
        await self.engine.close()

    async def ask(self, method: str, path: str, fields: dict[str, Any], interrupt: int = 0) -> httpx2.Response:
        given: dict[str, Any] = {"params": fields} if method == "GET" else {"json": fields}
        headers = {"X-MLFLOW-WORKSPACE": "acme", "X-Interrupt": str(interrupt)}
        return await self._http.request(method, path, headers=headers, **given)

    async def make(self, path: str, **fields: Any) -> Any:
        answer = await self.ask("POST", V2 + path, fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def make_workspace(self) -> None:
        made = await self._http.post("/api/3.0/mlflow/workspaces", json={"name": "acme"})
        assert made.is_success, made.text

    async def make_world(self) -> dict[str, Any]:
        """One of everything; its fields, with values that any route takes."""
        await self.make_workspace()
        experiment = (await self.make("/experiments/create", name="e"))["experiment_id"]
        run = (await self.make("/runs/create", experiment_id=experiment))["run"]["info"]["run_id"]
        model = (await self.make("/logged-models", experiment_id=experiment, name="l"))["model"]["info"]["model_id"]
        await self.make("/registered-models/create", name="m")
        source = f"mlflow-artifacts:/workspaces/acme/{experiment}/{run}/artifacts/model"
        await self.make("/model-versions/create", name="m", source=source, run_id=run)
        await self.make("/registered-models/alias", name="m", alias="a", version="1")
        ids = {"experiment_id": experiment, "experiment_ids": [experiment], "run_id": run, "model_id": model}
        names = {"experiment_name": "e", "name": "m", "version": "1", "alias": "a", "metric_key": "k"}
        return {**ids, **names, "key": "k", "value": "1", "source": source, "stage": "Staging", "max_results": 10}


PAIRS = [{"key": "k", "value": "1"}]
METRIC = {"key": "k", "value": 1, "timestamp": 1, "step": 1}
DATASET = {"name": "d", "digest": "d", "source_type": "s", "source": "s"}
#: What some routes take beside the fields of ``make_world``, or instead.
OTHERS: dict[str, dict[str, Any]] = {
    "POST /experiments/create": {"name": "another"},
    "POST /experiments/update": {"new_name": "other"},
    "POST /runs/update": {"status": "FINISHED", "run_name": "r"},
    "POST /runs/log-metric": METRIC,
    "POST /runs/log-batch": {"metrics": [METRIC], "params": PAIRS, "tags": PAIRS},
    "POST /runs/log-model": {
        "model_json": json.dumps({"run_id": "r", "artifact_path": "p", "utc_time_created": "1", "flavors": {}})
    },
    "POST /runs/log-inputs": {"datasets": [{"dataset": DATASET, "tags": []}]},
    "POST /runs/outputs": {"models": []},
    "POST /logged-models": {"name": "l2", "params": PAIRS, "tags": PAIRS},
    "PATCH /logged-models/{model_id}": {"status": "LOGGED_MODEL_READY"},
    "POST /logged-models/{model_id}/params": {"params": PAIRS},
    "PATCH /logged-models/{model_id}/tags": {"tags": PAIRS},
    "POST /registered-models/create": {"name": "another", "tags": PAIRS},
    "PATCH /registered-models/update": {"description": "d"},
    "POST /registered-models/rename": {"new_name": "m2"},
    "PATCH /model-versions/update": {"description": "d"},
    "POST /model-versions/create": {"tags": PAIRS, "description": "d"},
}


def fields_of(route: Route, world: dict[str, Any]) -> dict[str, Any]:
    known = {field.name for field in route.fields or ()}
    if route.path.endswith("/model-versions/create"):
        known -= {"model_id"}  # the source is the run's
    own = OTHERS.get(f"{route.method} {route.path.removeprefix(V2)}", {})
    return {name: value for name, value in world.items() if name in known} | own


def in_order() -> list[Route]:
    """What each of them needs is made, and deleted, by those before it."""

    def order(route: Route) -> tuple[bool, bool, bool]:
        deletes = route.method == "DELETE" or route.path.endswith("/delete")
        of_a_part = route.path.endswith(("-tag", "{tag_key}", "/alias", "/model-versions/delete"))
        return route.path.endswith("/restore"), deletes and not of_a_part, deletes

    return sorted(table.TRACKING, key=order)


def engine(url: str) -> ProcessEngine:
    limits = Limits(seconds=30, memory_bytes=2**28)
    return ProcessEngine(url, processes=1, limits=limits, app="tests.tracking.interrupted:load")


@pytest.fixture(scope="module")
def template(postgres: Postgres) -> str:
    """A database with MLflow's tables, to be copied: MLflow takes long to make them."""
    url = postgres.create_database()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fork_server_client, "PYTHON", forked.python())

        async def make() -> None:
            async with Mlflow(engine(url)):
                pass

        asyncio.run(make())
    return url


@pytest.fixture
def url(postgres: Postgres, template: str) -> str:
    return postgres.create_database(template=template)


@pytest.fixture
async def mlflow(url: str) -> AsyncIterator[Mlflow]:
    async with Mlflow(engine(url)) as found:
        yield found


async def test_a_database_that_goes_in_the_middle_of_any_request(mlflow: Mlflow) -> None:
    world = await mlflow.make_world()
    wrong = {}
    for route in in_order():
        path = route.path.format(model_id=world["model_id"], tag_key="k")
        fields = fields_of(route, world)
        for statement in range(1, 100):
            try:
                answer = await mlflow.ask(route.method, path, fields, interrupt=statement)
            except errors.TrackingDown:
                continue
            if answer.headers.get("x-interrupted") != "True":
                break
            if answer.status_code >= 400:
                wrong[f"{route} at {statement}"] = answer.text[:200]
        if answer.status_code != 200 or statement < 3:
            wrong[str(route)] = f"{statement} statements, {answer.status_code} {answer.text[:200]}"
        if route.path.endswith("/rename"):
            world["name"] = "m2"
    assert wrong == {}


async def test_a_database_that_takes_no_writes(
    mlflow: Mlflow, postgres: Postgres, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hokusai.database.PROBE_SECONDS", 0)
    await mlflow.make_workspace()
    await mlflow.engine.check()
    name = url.rpartition("/")[2]
    postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    postgres.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'")
    for act in (mlflow.make("/experiments/create", name="e"), mlflow.engine.check()):
        with pytest.raises(errors.DatabaseReadOnly):
            await act
    found = await mlflow.ask("GET", f"{V2}/experiments/search", {"max_results": 1})
    assert found.status_code == 200
    postgres.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    postgres.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'")
    await mlflow.make("/experiments/create", name="e")
    await mlflow.engine.check()


async def test_a_full_disk(small_disk: Path) -> None:
    file = Path(shutil.copy(mlflow_tables._template() / "mlflow.db", small_disk))
    async with Mlflow(engine(f"sqlite:///{file}")) as mlflow:
        world = await mlflow.make_world()
        tags = [{"key": f"k{number}", "value": "x" * 5000} for number in range(100)]
        with filled(small_disk):
            for act in (mlflow.make("/runs/log-batch", run_id=world["run_id"], tags=tags), mlflow.engine.check()):
                with pytest.raises(errors.DatabaseFull):
                    await act
        await mlflow.make("/runs/log-batch", run_id=world["run_id"], tags=tags)
        await mlflow.engine.check()


async def test_what_is_the_clients_own_mistake_is_no_outage(mlflow: Mlflow) -> None:
    world = await mlflow.make_world()
    again = await mlflow.ask("POST", f"{V2}/registered-models/create", {"name": "m"})
    other = {"key": "p", "value": "1", "run_id": world["run_id"]}
    await mlflow.make("/runs/log-parameter", **other)
    changed = await mlflow.ask("POST", f"{V2}/runs/log-parameter", other | {"value": "2"})
    missing = await mlflow.ask("GET", f"{V2}/runs/get", {"run_id": "0" * 32})
    assert [answer.status_code for answer in (again, changed, missing)] == [400, 400, 404]


async def test_a_check_does_not_wait_behind_tenants(mlflow: Mlflow, url: str) -> None:
    """Every process has a request that waits for a lock, and more are in the queue."""
    await mlflow.make_workspace()
    with connect(url) as holder:
        holder.execute("LOCK workspaces")
        asking = [
            asyncio.create_task(mlflow.ask("GET", f"{V2}/experiments/search", {"max_results": 1})) for _ in range(20)
        ]
        while mlflow.engine._queue.length < 10:
            await asyncio.sleep(0.01)
        async with asyncio.timeout(5):
            await mlflow.engine.check()
        assert not any(one.done() for one in asking)
        holder.rollback()
        assert {answer.status_code for answer in await asyncio.gather(*asking)} == {200}
