"""The contract of an engine: what MLflow must do, in this process or remote."""

from __future__ import annotations

from pathlib import Path

import pytest

from hokusai import errors
from hokusai.tracking import Tracking
from hokusai.tracking.remote import RemoteEngine
from tests.stock.environments import Environment
from tests.stock.server import StockServer
from tests.tracking.conftest import Call, name


async def test_a_workspace_is_made_on_first_use(call: Call) -> None:
    workspace = name("team")
    created = await call(workspace, "POST", "/experiments/create", name="e")
    found = await call(workspace, "GET", "/experiments/get", experiment_id=created["experiment_id"])
    assert found["experiment"]["artifact_location"].startswith(f"mlflow-artifacts:/workspaces/{workspace}/")


async def test_two_workspaces_do_not_see_each_other(call: Call) -> None:
    one, other = name("team"), name("team")
    await call(one, "POST", "/registered-models/create", name="secret-model")
    await call(other, "POST", "/registered-models/create", name="secret-model")
    await call(one, "POST", "/registered-models/create", name="only-one")
    found = await call(other, "GET", "/registered-models/search")
    assert [model["name"] for model in found["registered_models"]] == ["secret-model"]
    with pytest.raises(errors.TrackingUnknown):
        await call(other, "GET", "/registered-models/get", name="only-one")


async def test_a_name_that_exists_is_a_conflict_without_internals(call: Call) -> None:
    workspace = name("team")
    await call(workspace, "POST", "/registered-models/create", name="m")
    with pytest.raises(errors.TrackingExists) as refused:
        await call(workspace, "POST", "/registered-models/create", name="m")
    text = refused.value.body("id").decode()
    assert refused.value.error_code == "RESOURCE_ALREADY_EXISTS"
    assert not any(word in text for word in ("sqlite", "SQL", "sqlalche", "INSERT", "psycopg"))


async def test_what_is_missing_is_unknown_with_mlflows_code(call: Call) -> None:
    with pytest.raises(errors.TrackingUnknown) as refused:
        await call(name("team"), "GET", "/runs/get", run_id="0" * 32)
    assert refused.value.error_code == "RESOURCE_DOES_NOT_EXIST"


async def test_a_wrong_parameter_is_a_refusal(call: Call) -> None:
    with pytest.raises(errors.TrackingRefused) as refused:
        await call(name("team"), "POST", "/runs/search", experiment_ids=["1"], max_results=-1)
    assert refused.value.error_code == "INVALID_PARAMETER_VALUE"


async def test_experiment_zero_is_the_workspaces_own(call: Call) -> None:
    """A stock client that never called ``set_experiment`` logs to it."""
    one, other = name("team"), name("team")
    run = await call(one, "POST", "/runs/create", experiment_id="0", start_time=1)
    real = run["run"]["info"]["experiment_id"]
    found = await call(one, "GET", "/experiments/get", experiment_id="0")
    assert (found["experiment"]["experiment_id"], found["experiment"]["name"]) == (real, "Default")
    assert found["experiment"]["artifact_location"].startswith(f"mlflow-artifacts:/workspaces/{one}/")
    runs = await call(one, "POST", "/runs/search", experiment_ids=["0", real])
    assert [run["info"]["experiment_id"] for run in runs["runs"]] == [real]
    assert await call(other, "POST", "/runs/search", experiment_ids=["0"]) == {}
    theirs = await call(other, "GET", "/experiments/get", experiment_id="0")
    assert theirs["experiment"]["experiment_id"] != real


async def test_a_zero_elsewhere_stays_a_zero(call: Call) -> None:
    workspace = name("team")
    created = await call(workspace, "POST", "/experiments/create", name="0")
    run = await call(workspace, "POST", "/runs/create", experiment_id=created["experiment_id"])
    body = {"run_id": run["run"]["info"]["run_id"], "key": "experiment_id", "value": "0"}
    await call(workspace, "POST", "/runs/set-tag", **body)
    found = await call(workspace, "GET", "/runs/get", run_id=body["run_id"])
    assert {"key": "experiment_id", "value": "0"} in found["run"]["data"]["tags"]


async def test_check_passes_while_it_works(tracking: Tracking) -> None:
    await tracking.check()


async def test_text_comes_through_as_it_was(call: Call) -> None:
    workspace, text = name("team"), "größe & 模型 “x” \U0001f600 %2F +"
    await call(workspace, "POST", "/registered-models/create", name=text, description=text)
    found = await call(workspace, "GET", "/registered-models/get", name=text)
    assert found["registered_model"]["description"] == text


async def test_a_remote_without_workspaces_is_refused(stock_317: Environment, tmp_path: Path) -> None:
    server = StockServer(stock_317, tmp_path, workspaces=False)
    try:
        engine = RemoteEngine(server.wait().url, timeout=10)
        with pytest.raises(errors.WorkspacesOff, match=server.url) as refused:
            await engine.start()
        await engine.close()
        assert "--enable-workspaces" in refused.value.advice
    finally:
        server.stop()


async def test_a_remote_that_is_not_there_is_named() -> None:
    engine = RemoteEngine("http://127.0.0.1:9", timeout=5)
    with pytest.raises(errors.TrackingUnreachable, match="127.0.0.1:9"):
        await engine.start()
    await engine.close()
