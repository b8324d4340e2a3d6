"""Both engines for the one contract suite: MLflow in child processes, and a stock MLflow server."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from hokusai.database import Database
from hokusai.gateway import ROUTES, Body, Exchange, Forward, RouteTable
from hokusai.gateway.exchange import EXCHANGE
from hokusai.gateway.route import Match
from hokusai.identity import LANDING, PERMISSION_SETS, PRINCIPAL, Principal
from hokusai.model_names import ModelNames
from hokusai.quota import ModelQuota, TrackingQuota
from hokusai.tracking import Engine, Limits, ProcessEngine, RemoteEngine, Tracking
from hokusai.tracking.processes import fork_server_client
from tests import forked
from tests.artifacts.service import Landed

TIMEOUT = 30
MOST_MODELS = 6
V2 = "/api/2.0/mlflow"
TABLE = RouteTable(ROUTES)
Call = Callable[..., Awaitable[dict[str, Any]]]
SendAs = Callable[[str, Match, dict[str, Any]], Awaitable[httpx2.Response]]


@pytest.fixture(scope="session")
def local_database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One for all: MLflow takes long to create its tables."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


#: The product starts MLflow's processes.
LOCAL = pytest.param("local", marks=pytest.mark.process)


@pytest.fixture(params=[LOCAL, "remote"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Engine:
    if request.param == "local":
        # From the fork server of this test run, which has imported MLflow already.
        monkeypatch.setattr(fork_server_client, "PYTHON", forked.python())
        limits = Limits(seconds=TIMEOUT, memory_bytes=2**28)
        return ProcessEngine(request.getfixturevalue("local_database"), processes=2, limits=limits)
    return RemoteEngine(request.getfixturevalue("stock_server").url, timeout=TIMEOUT)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    found = Database(f"sqlite:///{tmp_path / 'hokusai.db'}")
    await found.migrate()
    yield found
    await found.close()


@pytest.fixture
def models(database: Database) -> ModelQuota:
    return ModelQuota(database, max_models=MOST_MODELS)


@pytest.fixture
async def tracking(engine: Engine, models: ModelQuota, database: Database) -> AsyncIterator[Tracking]:
    stored = TrackingQuota(database, max_bytes=None)
    found = Tracking(engine, models=models, names=ModelNames(database), stored=stored, timeout=TIMEOUT)
    await found.start()
    yield found
    await found.close()


@pytest.fixture
def send(tracking: Tracking) -> SendAs:
    """Sends a request of a route through the gateway's last layer; raises what the gateway would render."""
    forward = Forward({"tracking": tracking}, max_json_bytes=2**20, idle_seconds=TIMEOUT)

    async def send(workspace: str, match: Match, request: dict[str, Any]) -> httpx2.Response:
        permissions = request.pop("permissions", PERMISSION_SETS["admin"])

        async def as_tenant(scope: Scope, receive: Receive, send: Send) -> None:
            scope[EXCHANGE] = Exchange("id", "127.0.0.1", match)
            scope[PRINCIPAL] = Principal(
                *("key_1", "user", workspace, permissions),
                protected_aliases=frozenset({"production"}),
            )
            scope[LANDING] = Landed()
            await forward(scope, receive, send)

        transport = httpx2.ASGITransport(app=as_tenant)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=30) as client:
            given = {"params": request} if match.route.body is Body.NONE else {"json": request}
            return await client.request(match.route.method, match.path, **given)

    return send


@pytest.fixture
def call(send: SendAs) -> Call:
    """As ``send``, by method and path, for an answer that is good."""

    async def call(workspace: str, method: str, path: str, **request: Any) -> dict[str, Any]:
        match = TABLE.find(method, V2 + path)
        assert match, f"{method} {path} is not in the route table"
        answer = await send(workspace, match, request)
        assert answer.status_code == 200
        found: dict[str, Any] = answer.json()
        return found

    return call


def name(kind: str) -> str:
    return f"{kind}-{secrets.token_hex(4)}"
