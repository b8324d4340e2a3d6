"""Both MLflows, for the one contract suite: in this process, and a stock server of its own."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from hokusai.database import Database
from hokusai.identity import FIELDS, PERMISSION_SETS, PRINCIPAL, Principal
from hokusai.quota import ModelQuota
from hokusai.tracking import Engine, Limits, ProcessEngine, RemoteEngine, Tracking

TIMEOUT = 30
LIMITS = Limits(seconds=TIMEOUT, memory_bytes=256 * 2**20)
MOST_MODELS = 6
V2 = "/api/2.0/mlflow"
Call = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture(scope="session")
def local_database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One for all: MLflow keeps its stores in module globals."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture(params=["local", "remote"])
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "local":
        return ProcessEngine(request.getfixturevalue("local_database"), processes=2, limits=LIMITS)
    return RemoteEngine(request.getfixturevalue("stock_server").url, timeout=TIMEOUT)


@pytest.fixture
async def models(tmp_path: Path) -> AsyncIterator[ModelQuota]:
    database = Database(f"sqlite:///{tmp_path / 'hokusai.db'}")
    await database.migrate()
    yield ModelQuota(database, most=MOST_MODELS)
    await database.close()


@pytest.fixture
async def tracking(engine: Engine, models: ModelQuota) -> AsyncIterator[Tracking]:
    found = Tracking(engine, models=models, timeout=TIMEOUT)
    await found.start()
    yield found
    await found.close()


@pytest.fixture
def call(tracking: Tracking) -> Call:
    """Calls MLflow as the gateway would, for a workspace; raises what the gateway would render."""

    async def call(workspace: str, method: str, path: str, **request: Any) -> dict[str, Any]:
        async def as_tenant(scope: Scope, receive: Receive, send: Send) -> None:
            scope[PRINCIPAL] = Principal("key_1", "user", workspace, PERMISSION_SETS["admin"])
            scope[FIELDS] = request
            await tracking(scope, receive, send)

        transport = httpx2.ASGITransport(app=as_tenant)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=30) as client:
            answer = await client.request(method, V2 + path, headers={"x-mlflow-workspace": workspace})
        assert answer.status_code == 200
        found: dict[str, Any] = answer.json()
        return found

    return call


def name(kind: str) -> str:
    return f"{kind}-{secrets.token_hex(4)}"
