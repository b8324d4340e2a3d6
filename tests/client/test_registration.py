"""Registering with servers that refuse, fail or are slow: the run's status always says how it ended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hokusai import ApiError, Client, ModelVersion, Progress, errors
from tests.client.answering import UNKNOWN_KEY, Reply, Request, answering

KEY = "hk_live_" + "a" * 38
EXISTS = Reply.refusal(409, "HK3006", "tracking: it exists.", "Use it.", error_code="RESOURCE_ALREADY_EXISTS")
ABSENT = Reply.refusal(404, "HK3005", "tracking: no.", "Check.", error_code="RESOURCE_DOES_NOT_EXIST")
RUN = {"run_id": "run", "artifact_uri": "mlflow-artifacts:/workspaces/acme/1/run/artifacts"}
UPLOAD = "-artifacts/artifacts/workspaces/acme/1/run/artifacts/model/"


def version(status: str = "READY", **facts: Any) -> Reply:
    shape = {"name": "m", "version": "1", "creation_timestamp": 1, "status": status, "run_id": "run", **facts}
    return Reply.of({"model_version": shape})


class Registry:
    """Answers each route with a list of replies, the last one again and again."""

    def __init__(self, **bent: list[Reply]) -> None:
        experiment = {"experiment_id": "1", "lifecycle_stage": "active"}
        self.replies: dict[str, list[Reply]] = {
            "registered-models/create": [Reply.of({})],
            "experiments/get-by-name": [Reply.of({"experiment": experiment})],
            "experiments/create": [Reply.of({"experiment_id": "1"})],
            "experiments/restore": [Reply.of({})],
            "runs/create": [Reply.of({"run": {"info": RUN}})],
            "runs/update": [Reply.of({})],
            "model-versions/create": [version()],
            "model-versions/get": [version()],
            "upload": [Reply(200, b"")],
        }
        self.replies.update({route.replace("__", "/").replace("_", "-"): replies for route, replies in bent.items()})

    def __call__(self, request: Request) -> Reply:
        route = request.path.removeprefix("/api/2.0/mlflow")
        replies = self.replies["upload" if route.startswith("-artifacts") else route.lstrip("/")]
        return replies.pop(0) if len(replies) > 1 else replies[0]


class Ran:
    """What a registration did, seen from the server."""

    def __init__(self, registry: Callable[[Request], Reply], path: Path, **options: Any) -> None:
        self.error: BaseException | None = None
        self.version: ModelVersion | None = None
        with answering(registry) as server, Client(server.url, KEY) as client:
            try:
                self.version = client.register(path, "m", **options)
            except (Exception, KeyboardInterrupt) as error:
                self.error = error
        self.requests = server.requests
        self.routes = [request.path.removeprefix("/api/2.0/mlflow").lstrip("/") for request in server.requests]

    @property
    def run_status(self) -> list[str]:
        return [request.json["status"] for request in self.requests if request.path.endswith("runs/update")]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_text("flavors: {}")
    (tmp_path / "model" / "we ird & ü#?.bin").write_bytes(b"x" * 3_000_000)
    return tmp_path / "model"


def test_the_calls_are_the_fewest(model: Path) -> None:
    ran = Ran(Registry(), model, description="first", tags={"k": "v"})
    assert ran.error is None
    assert ran.routes == [
        "registered-models/create",
        "experiments/get-by-name",
        "runs/create",
        f"{UPLOAD}MLmodel",
        f"{UPLOAD}we ird & ü#?.bin",
        "runs/update",
        "model-versions/create",
    ]
    assert ran.version
    assert ran.version.uri == "models:/m/1"
    assert ran.requests[4].body == b"x" * 3_000_000
    assert ran.requests[4].headers["Content-Length"] == "3000000"
    created = ran.requests[-1].json
    assert created["source"] == f"{RUN['artifact_uri']}/model"
    assert (created["description"], created["tags"]) == ("first", [{"key": "k", "value": "v"}])
    assert ran.run_status == ["FINISHED"]


def test_progress_reaches_the_total(model: Path) -> None:
    steps: list[Progress] = []
    Ran(Registry(), model, progress=steps.append)
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert steps[-1].done == steps[-1].total == 3_000_011
    assert steps[-1].file == "we ird & ü#?.bin"


def test_a_model_that_exists_gets_a_version(model: Path) -> None:
    assert Ran(Registry(registered_models__create=[EXISTS]), model).error is None


def test_the_experiment_is_made_once_even_by_two(model: Path) -> None:
    found = Reply.of({"experiment": {"experiment_id": "7"}})
    ran = Ran(Registry(experiments__get_by_name=[ABSENT, found], experiments__create=[EXISTS]), model)
    assert ran.error is None
    assert next(one.json for one in ran.requests if one.path.endswith("runs/create"))["experiment_id"] == "7"


def test_a_deleted_experiment_is_restored(model: Path) -> None:
    deleted = Reply.of({"experiment": {"experiment_id": "1", "lifecycle_stage": "deleted"}})
    ran = Ran(Registry(experiments__get_by_name=[deleted]), model)
    assert ran.error is None
    assert "experiments/restore" in ran.routes


def test_a_refused_key_costs_no_upload(model: Path) -> None:
    ran = Ran(lambda _: UNKNOWN_KEY, model)
    assert isinstance(ran.error, ApiError)
    assert len(ran.requests) == 1


def test_an_unusable_path_costs_no_request(tmp_path: Path) -> None:
    ran = Ran(Registry(), tmp_path / "absent")
    assert isinstance(ran.error, errors.PathUnusable)
    assert ran.requests == []


def test_a_refused_upload_fails_the_run(model: Path) -> None:
    full = Reply.refusal(413, "HK4003", "artifacts: too large.", "Split.")
    ran = Ran(Registry(upload=[Reply(200, b""), full]), model)
    assert isinstance(ran.error, ApiError)
    assert ran.run_status == ["FAILED"]
    assert "model-versions/create" not in ran.routes


def test_an_interruption_kills_the_run(model: Path) -> None:
    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    ran = Ran(Registry(), model, progress=interrupt)
    assert isinstance(ran.error, KeyboardInterrupt)
    assert ran.run_status == ["KILLED"]


def test_an_upload_is_sent_again_whole(model: Path) -> None:
    busy = Reply.refusal(503, "HK4004", "artifacts: down.", "Again.", Retry_After="0")
    ran = Ran(Registry(upload=[Reply(200, b""), busy, Reply(200, b"")]), model)
    assert ran.error is None
    sent = [request.body for request in ran.requests if (request.method, request.path[-4:]) == ("PUT", ".bin")]
    assert sent == [b"x" * 3_000_000] * 2


def test_a_digest_that_differs_fails_the_run(model: Path) -> None:
    other = Reply(200, b"", {"Repr-Digest": f"sha-256=:{'A' * 43}=:"})
    ran = Ran(Registry(upload=[other]), model)
    assert isinstance(ran.error, errors.DigestDiffers)
    assert ran.run_status == ["FAILED"]


def test_a_version_is_waited_for(model: Path) -> None:
    pending = version("PENDING_REGISTRATION")
    ran = Ran(Registry(model_versions__create=[pending], model_versions__get=[pending, version()]), model)
    assert ran.version
    assert ran.version.status == "READY"


def test_a_version_that_was_refused_says_why(model: Path) -> None:
    failed = version("FAILED_REGISTRATION", status_message="model.pkl runs os.system at load")
    ran = Ran(Registry(model_versions__create=[failed]), model)
    assert isinstance(ran.error, errors.VersionNotReady)
    assert "os.system" in str(ran.error)


def test_patience_ends(model: Path) -> None:
    pending = [version("PENDING_REGISTRATION")]
    ran = Ran(Registry(model_versions__create=pending, model_versions__get=pending), model, patience=0)
    assert isinstance(ran.error, errors.VersionNotReady)
    assert "PENDING_REGISTRATION" in str(ran.error)
