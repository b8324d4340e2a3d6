"""What MLflow would accept from any client, and must not receive: sources, references, users, tags, sizes."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from hokusai import errors
from hokusai.quota import ModelQuota, use
from tests.tracking.conftest import MOST_MODELS, Call, name


class Team:
    """A workspace with a run, a logged model, a registered model and a version."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.name = name("team")

    async def __call__(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        return await self.call(self.name, method, path, **request)

    async def settle(self) -> Team:
        self.run = (await self("POST", "/runs/create", experiment_id="0"))["run"]["info"]
        self.run_id = self.run["run_id"]
        self.files = f"{self.run['artifact_uri']}/model"
        logged = await self("POST", "/logged-models", experiment_id="0", name="lm", source_run_id=self.run_id)
        self.model_id = logged["model"]["info"]["model_id"]
        self.model_files = logged["model"]["info"]["artifact_uri"]
        await self("POST", "/registered-models/create", name="m")
        self.version = (await self.register(self.files))["version"]
        return self

    async def register(self, source: str, **more: Any) -> dict[str, Any]:
        found = await self("POST", "/model-versions/create", name="m", source=source, **more)
        version: dict[str, Any] = found["model_version"]
        return version

    async def download_uri(self, version: str) -> str:
        found = await self("GET", "/model-versions/get-download-uri", name="m", version=version)
        uri: str = found["artifact_uri"]
        return uri


@pytest.fixture
async def team(call: Call) -> Team:
    return await Team(call).settle()


@pytest.fixture
async def other(call: Call) -> Team:
    return await Team(call).settle()


async def test_a_source_of_ones_own_is_resolved(team: Team) -> None:
    for source, leads_to in [
        (f"runs:/{team.run_id}/model", team.files),
        (f"runs:/{team.run_id}/model/", team.files),
        (team.files, team.files),
        (f"models:/{team.model_id}", team.model_files),
        (team.model_files, team.model_files),
        (f"{team.model_files}/sub", f"{team.model_files}/sub"),
        (f"models:/m/{team.version}", team.files),
        (f"models:/m/0{team.version}", team.files),
    ]:
        version = await team.register(source)
        assert await team.download_uri(version["version"]) == leads_to, source


async def test_a_source_says_which_run_it_belongs_to(team: Team) -> None:
    version = await team.register(team.files)
    assert (version["run_id"], version["source"]) == (team.run_id, team.files)
    assert (await team.register(f"runs:/{team.run_id}/model"))["source"] == team.files
    run = (await team("POST", "/runs/create", experiment_id="0"))["run"]["info"]["run_id"]
    with pytest.raises(errors.IdentifiersDiffer):
        await team.register(team.files, run_id=run)


async def test_a_source_by_alias_is_the_version_it_names_now(team: Team) -> None:
    await team("POST", "/registered-models/alias", name="m", alias="prod", version=team.version)
    version = await team.register("models:/m@prod")
    assert await team.download_uri(version["version"]) == team.files


ELSEWHERE = [
    "s3://bucket/key",
    "S3://bucket/key",
    "gs://bucket/key",
    "http://127.0.0.1:9/x",
    "https://example.com/x",
    "ftp://example.com/x",
    "sftp://example.com/x",
    "hdfs://host/x",
    "dbfs:/x",
    "wasbs://c@a/x",
    "abfss://c@a/x",
    "file:///etc/passwd",
    "file:/etc/passwd",
    "/etc/passwd",
    "etc/passwd",
    "C:\\x",
    "\\\\host\\share",
    "",
    " ",
    ".",
    "runs:/",
    "runs:/{run}x/model",
    "runs://host/{run}/model",
    "runs:///{run}/model",
    "RUNS:/{run}/model",
    " runs:/{run}/model",
    "runs:/{run}/../x",
    "runs:/{run}/./x",
    "runs:/{run}//x",
    "runs:/{run}/%2e%2e/x",
    "runs:/{run}/a%2fb",
    "runs:/{run}/a\\b",
    "runs:/{run}/a?b",
    "runs:/{run}/a#b",
    "runs:/{run}/a\nb",
    "runs:/{run}/" + "a" * 600,
    "models:/",
    "models:/m",
    "models:/m/latest",
    "models:/m/Production",
    "models:/m/99",
    "models:/m@absent",
    "models:/absent/1",
    "models:///m/1",
    "models://scope:prefix@databricks/m/1",
    "models:/m/1/../2",
    "models:/m-" + "0" * 32,
    "mlflow-artifacts:/",
    "mlflow-artifacts:/workspaces/{team}",
    "mlflow-artifacts:/workspaces/{team}/own.txt",
    "mlflow-artifacts:/workspaces/{team}/1/{run}",
    "mlflow-artifacts:/workspaces/{team}/999999/{run}/artifacts/model",
    "mlflow-artifacts://host{path}",
    "mlflow-artifacts://host:1{path}",
    "mlflow-artifacts://{path}",
    "mlflow-artifacts:{path}/../x",
    "mlflow-artifacts:{path}/%2e%2e/x",
    "mlflow-artifacts:{path}#x",
    "mlflow-artifacts:{path}?x=1",
    "MLFLOW-ARTIFACTS:{path}",
    "mlflow-artifacts:/1/{run}/artifacts/model",
]


@pytest.mark.parametrize("source", ELSEWHERE)
async def test_a_source_of_any_other_form_is_refused(call: Call, source: str) -> None:
    team = await Team(call).settle()
    path = team.files.removeprefix("mlflow-artifacts:")
    with pytest.raises(errors.SourceForbidden):
        await team.register(source.format(run=team.run_id, team=team.name, path=path))
    found = await team("GET", "/model-versions/search", filter="name='m'")
    assert len(found["model_versions"]) == 1


async def test_another_workspaces_source_is_refused_like_one_that_is_not_there(team: Team, other: Team) -> None:
    await other("POST", "/registered-models/create", name="theirs")
    pairs = [
        (f"runs:/{other.run_id}/model", f"runs:/{'0' * 32}/model"),
        (f"models:/{other.model_id}", f"models:/m-{'0' * 32}"),
        (other.files, team.files.replace(team.run_id, "0" * 32)),
        (other.model_files, team.model_files.replace(team.model_id, "m-" + "0" * 32)),
        (team.files.replace(team.run_id, other.run_id), team.files.replace(team.run_id, "0" * 32)),
        ("models:/theirs/1", "models:/nobodys/1"),
    ]
    for theirs, nobodys in pairs:
        with pytest.raises(errors.SourceForbidden) as refused:
            await team.register(theirs)
        with pytest.raises(errors.SourceForbidden) as unknown:
            await team.register(nobodys)
        assert str(refused.value) == str(unknown.value), theirs


async def test_what_a_request_refers_to_is_in_its_workspace(team: Team, other: Team) -> None:
    """MLflow writes metrics onto any logged model whose id it is given."""
    measured = {"key": "stolen", "value": 1, "timestamp": 1, "step": 0}
    for model_id in (other.model_id, "m-" + "0" * 32):
        for path, request in [
            ("/runs/log-metric", {"run_id": team.run_id, **measured, "model_id": model_id}),
            ("/runs/log-batch", {"run_id": team.run_id, "metrics": [{**measured, "model_id": model_id}]}),
            ("/runs/log-inputs", {"run_id": team.run_id, "models": [{"model_id": model_id}]}),
            ("/runs/outputs", {"run_id": team.run_id, "models": [{"model_id": model_id, "step": 0}]}),
            ("/model-versions/create", {"name": "m", "source": f"models:/m/{team.version}", "model_id": model_id}),
        ]:
            with pytest.raises(errors.ReferenceUnknown, match="the logged model in"):
                await team("POST", path, **request)
    for run_id in (other.run_id, "0" * 32):
        with pytest.raises(errors.ReferenceUnknown, match="the run in"):
            await team("POST", "/logged-models", experiment_id="0", name="x", source_run_id=run_id)
        with pytest.raises(errors.ReferenceUnknown, match="the run in"):
            await team.register(f"models:/m/{team.version}", run_id=run_id)
    theirs = await other("GET", f"/logged-models/{other.model_id}")
    assert "metrics" not in theirs["model"]["data"]


async def test_what_is_ones_own_may_be_referred_to(team: Team) -> None:
    measured = {"key": "loss", "value": 1, "timestamp": 1, "step": 0, "model_id": team.model_id}
    await team("POST", "/runs/log-batch", run_id=team.run_id, metrics=[measured])
    found = await team("GET", f"/logged-models/{team.model_id}")
    assert [metric["key"] for metric in found["model"]["data"]["metrics"]] == ["loss"]


async def test_the_path_and_the_body_name_one_logged_model(team: Team) -> None:
    own = (await team("POST", "/logged-models", experiment_id="0", name="x"))["model"]["info"]["model_id"]
    with pytest.raises(errors.IdentifiersDiffer):
        await team("PATCH", f"/logged-models/{own}", model_id=team.model_id, status="LOGGED_MODEL_READY")


async def test_two_names_for_a_run_agree(team: Team) -> None:
    run = (await team("POST", "/runs/create", experiment_id="0"))["run"]["info"]["run_id"]
    with pytest.raises(errors.IdentifiersDiffer):
        await team("GET", "/runs/get", run_id=run, run_uuid=team.run_id)
    assert await team("GET", "/runs/get", run_id=run, run_uuid=run)


async def test_the_user_is_the_keys_owner(team: Team) -> None:
    tags = [{"key": "mlflow.user", "value": "mallory"}, {"key": "mine", "value": "mallory"}]
    made = await team("POST", "/runs/create", experiment_id="0", user_id="mallory", tags=tags)
    run_id = made["run"]["info"]["run_id"]
    await team("POST", "/runs/set-tag", run_id=run_id, key="mlflow.user", value="eve")
    await team("POST", "/runs/log-batch", run_id=run_id, tags=[{"key": "mlflow.user", "value": "eve"}])
    found = (await team("GET", "/runs/get", run_id=run_id))["run"]
    said = {tag["key"]: tag["value"] for tag in found["data"]["tags"]}
    assert (found["info"]["user_id"], said["mlflow.user"], said["mine"]) == ("user", "user", "mallory")
    made = await team("POST", "/runs/create", experiment_id="0")
    assert made["run"]["info"]["user_id"] == "user"


@pytest.mark.parametrize("key", ["mlflow.prompt.is_prompt", "mlflow.artifactLocation", "mlflow.trace.archival.now"])
async def test_tags_that_redirect_are_refused(team: Team, key: str) -> None:
    tag = {"key": key, "value": "true"}
    for path, request in [
        ("/registered-models/create", {"name": "p", "tags": [tag]}),
        ("/registered-models/set-tag", {"name": "m", **tag}),
        ("/model-versions/create", {"name": "m", "source": team.files, "tags": [tag]}),
        ("/model-versions/set-tag", {"name": "m", "version": team.version, **tag}),
        ("/runs/set-tag", {"run_id": team.run_id, **tag}),
        ("/runs/log-batch", {"run_id": team.run_id, "tags": [tag]}),
        ("/experiments/create", {"name": "e", "tags": [tag]}),
        ("/experiments/set-experiment-tag", {"experiment_id": "0", **tag}),
        ("/logged-models", {"experiment_id": "0", "name": "x", "tags": [tag]}),
    ]:
        with pytest.raises(errors.TagReserved):
            await team("POST", path, **request)


async def test_an_experiments_files_stay_in_the_workspace(team: Team) -> None:
    for location in ("s3://bucket/x", "file:///etc", "mlflow-artifacts:/workspaces/other", "mlflow-artifacts:/"):
        with pytest.raises(errors.ArtifactLocationFixed):
            await team("POST", "/experiments/create", name="e", artifact_location=location)
    made = await team("POST", "/experiments/create", name="e", artifact_location="")
    found = await team("GET", "/experiments/get", experiment_id=made["experiment_id"])
    assert found["experiment"]["artifact_location"].startswith(f"mlflow-artifacts:/workspaces/{team.name}/")


@pytest.mark.parametrize("text", ["a\nb", "a\x00b", "a\x1b[2Jb", "a\u202eb", "a\u2066b", "a\u2028b", "a\x85b"])
async def test_names_are_printable(team: Team, text: str) -> None:
    for path, request in [
        ("/registered-models/create", {"name": text}),
        ("/registered-models/rename", {"name": "m", "new_name": text}),
        ("/registered-models/alias", {"name": "m", "alias": text, "version": team.version}),
        ("/experiments/create", {"name": text}),
        ("/runs/create", {"experiment_id": "0", "run_name": text}),
        ("/runs/set-tag", {"run_id": team.run_id, "key": text, "value": "x"}),
        ("/runs/create", {"experiment_id": "0", "tags": [{"key": text, "value": "x"}]}),
        ("/logged-models", {"experiment_id": "0", "name": text}),
    ]:
        with pytest.raises(errors.TextUnprintable):
            await team("POST", path, **request)


async def test_a_key_in_a_name_is_refused(team: Team) -> None:
    key = "hk_live_" + "a" * 38
    for path, request in [
        ("/registered-models/create", {"name": f"my {key}"}),
        ("/runs/set-tag", {"run_id": team.run_id, "key": key, "value": "x"}),
    ]:
        with pytest.raises(errors.KeyInName) as refused:
            await team("POST", path, **request)
        assert key not in refused.value.body("id").decode()


async def test_text_over_what_tables_hold_is_refused(team: Team) -> None:
    with pytest.raises(errors.TextTooLong, match="5000"):
        await team("PATCH", "/registered-models/update", name="m", description="x" * 5001)
    await team("PATCH", "/registered-models/update", name="m", description="x" * 5000)
    with pytest.raises(errors.TextTooLong):
        await team("GET", "/model-versions/search", filter="name = '" + "x" * 10_000 + "'")
    with pytest.raises(errors.TextTooLong):
        await team("GET", "/model-versions/search", order_by=["x" * 1001])


def token(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    "text",
    ["x", "!!!", "é", token({"offset": 1})[:-3]]
    + [token(value) for value in ({}, [], 7, *({"offset": bad} for bad in (-1, "1e3", 10**30, {"$gt": 0}, None)))],
)
async def test_page_tokens_of_ones_own_making_are_refused(team: Team, text: str) -> None:
    for method, path, request in [
        ("POST", "/runs/search", {"experiment_ids": ["0"]}),
        ("GET", "/registered-models/search", {}),
        ("GET", "/model-versions/search", {}),
        ("POST", "/experiments/search", {}),
        ("POST", "/logged-models/search", {"experiment_ids": ["0"]}),
        ("GET", "/metrics/get-history", {"run_id": team.run_id, "metric_key": "a"}),
    ]:
        with pytest.raises(errors.PageTokenInvalid):
            await team(method, path, **request, page_token=text)


async def test_an_answer_holds_a_bounded_number_and_the_next_page_goes_on(team: Team) -> None:
    for number in range(3):
        await team("POST", "/registered-models/create", name=f"n{number}")
    first = await team("GET", "/registered-models/search", max_results="2")
    rest = await team("GET", "/registered-models/search", max_results="2", page_token=first["next_page_token"])
    names = [model["name"] for page in (first, rest) for model in page["registered_models"]]
    assert names == ["m", "n0", "n1", "n2"]
    assert await team("GET", "/model-versions/search", max_results="999999999")


@pytest.mark.parametrize(
    "text", ["version_number = 99999999999999999999", "run_id = 'x' AND version_number > " + "1" * 19]
)
async def test_numbers_beyond_the_database_are_refused(team: Team, text: str) -> None:
    with pytest.raises(errors.FilterUnreadable):
        await team("GET", "/model-versions/search", filter=text)


@pytest.mark.parametrize("number", [-1, -2, -(2**31), -(2**63)])
async def test_a_negative_number_of_results_is_refused_by_every_search(team: Team, number: int) -> None:
    """MLflow lets two of them through: SQLite then returns everything, and PostgreSQL fails."""
    for method, path, request in [
        ("GET", "/registered-models/search", {}),
        ("POST", "/logged-models/search", {"experiment_ids": ["0"]}),
        ("GET", "/model-versions/search", {}),
        ("POST", "/runs/search", {"experiment_ids": ["0"]}),
        ("GET", "/experiments/search", {}),
        ("POST", "/experiments/search", {}),
        ("GET", "/metrics/get-history", {"run_id": team.run_id, "metric_key": "a"}),
    ]:
        with pytest.raises(errors.TrackingRefused, match=f"Invalid value {number} for parameter 'max_results'"):
            await team(method, path, **request, max_results=number)


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 2**63 - 1, -(2**63)])
async def test_an_id_beyond_32_bits_is_unknown(team: Team, number: int) -> None:
    """MLflow's columns hold no larger one, and PostgreSQL fails on the comparison."""
    for method, path, request in [
        ("GET", "/experiments/get", {"experiment_id": str(number)}),
        ("POST", "/runs/create", {"experiment_id": str(number)}),
        ("GET", "/model-versions/get", {"name": "m", "version": str(number)}),
        ("POST", "/registered-models/alias", {"name": "m", "alias": "a", "version": str(number)}),
    ]:
        with pytest.raises(errors.TrackingUnknown, match=f"there is no (experiment|version) {number}"):
            await team(method, path, **request)
    found = await team("POST", "/runs/search", experiment_ids=[str(number), "0"])
    assert [run["info"]["run_id"] for run in found["runs"]] == [team.run_id]
    assert await team("POST", "/logged-models/search", experiment_ids=[str(number)]) == {}


@pytest.mark.parametrize("text", ["[]", "7", "null", "x", "[" * 3000, "{", 7])
async def test_a_models_description_is_an_object(team: Team, text: object) -> None:
    with pytest.raises(errors.ParameterInvalid, match="'model_json' is not"):
        await team("POST", "/runs/log-model", run_id=team.run_id, model_json=text)


@pytest.mark.parametrize("link", ["javascript:alert(1)", "data:text/html,x", "//host/x", "http://a b", "ftp://x"])
async def test_a_run_link_is_a_web_page(team: Team, link: str) -> None:
    with pytest.raises(errors.RunLinkForbidden):
        await team.register(team.files, run_link=link)
    assert await team.register(team.files, run_link="https://example.com/run?id=1#x")


async def test_registered_models_have_a_quota_that_a_crowd_cannot_pass(call: Call) -> None:
    workspace = name("team")

    async def make(number: int) -> bool:
        try:
            await call(workspace, "POST", "/registered-models/create", name=f"m{number}")
        except errors.ModelsQuotaExceeded:
            return False
        return True

    made = await asyncio.gather(*(make(number) for number in range(3 * MOST_MODELS)))
    assert sum(made) == MOST_MODELS
    found = await call(workspace, "GET", "/registered-models/search")
    assert len(found["registered_models"]) == MOST_MODELS
    kept = found["registered_models"][0]["name"]
    with pytest.raises(errors.TrackingExists):
        await call(workspace, "POST", "/registered-models/create", name=kept)
    await call(workspace, "POST", "/registered-models/rename", name=kept, new_name="renamed")
    assert not await make(100)
    await call(workspace, "DELETE", "/registered-models/delete", name="renamed")
    assert await make(100)


async def test_a_refused_model_is_not_counted(call: Call) -> None:
    workspace = name("team")
    for _ in range(2 * MOST_MODELS):
        with pytest.raises(errors.TrackingRefused):
            await call(workspace, "POST", "/registered-models/create", name="a/b:c")
    await call(workspace, "POST", "/registered-models/create", name="m")


async def test_models_from_before_the_quota_are_counted(call: Call, models: ModelQuota) -> None:
    workspace = name("team")
    for number in range(MOST_MODELS):
        await call(workspace, "POST", "/registered-models/create", name=f"m{number}")
    await models.reconcile(workspace, set(), grace=timedelta(0))  # as if nobody had counted
    async with models._database.begin() as connection:
        await connection.execute(sa.update(use).values(models_counted_at=None))
    with pytest.raises(errors.ModelsQuotaExceeded):
        await call(workspace, "POST", "/registered-models/create", name="one-more")
