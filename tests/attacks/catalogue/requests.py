"""What an owner may ask about each kind of object. The other modules of the catalogue vary these.

``READS`` show the owner's marker, ``QUIET`` reads succeed without it, ``WRITES`` change what is
stored, and ``DELETES`` take more than a ``write`` key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.attacks.case import FILES, V2, Step, get, post, put, send

_TAG = {"key": "planted", "value": "by-a"}


def _post(path: str, **fields: Any) -> Step:
    return post(V2 + path, fields)


READS: Mapping[str, Step] = {
    "experiment": get(f"{V2}/experiments/get?experiment_id=<b.experiment>"),
    "experiment-by-name": get(f"{V2}/experiments/get-by-name?experiment_name=<b.experiment_name>"),
    "run": get(f"{V2}/runs/get?run_id=<b.run>"),
    "run-by-uuid": get(f"{V2}/runs/get?run_uuid=<b.run>"),
    "runs-search": _post("/runs/search", experiment_ids=["<b.experiment>"]),
    "runs-search-own-and-theirs": _post("/runs/search", experiment_ids=["<a.experiment>", "<b.experiment>"]),
    "logged-model": get(f"{V2}/logged-models/<b.model>"),
    "logged-models-search": _post("/logged-models/search", experiment_ids=["<b.experiment>"]),
    "registered-model": get(f"{V2}/registered-models/get?name=<b.registered>"),
    "latest-versions": get(f"{V2}/registered-models/get-latest-versions?name=<b.registered>&stages=None"),
    "version": get(f"{V2}/model-versions/get?name=<b.registered>&version=1"),
    "version-by-alias": get(f"{V2}/registered-models/alias?name=<b.registered>&alias=best"),
    "versions-search": get(f"{V2}/model-versions/search?filter=name%3D%27<b.registered>%27"),
    "artifact": get(f"{FILES}/<b.file>"),
    "artifact-odd": get(f"{FILES}/<b.odd>"),
    "artifact-of-logged-model": get(f"{FILES}/<b.logged_root>/MLmodel"),
}

QUIET: Mapping[str, Step] = {
    "metric-history": get(f"{V2}/metrics/get-history?run_id=<b.run>&metric_key=loss"),
    "download-uri": get(f"{V2}/model-versions/get-download-uri?name=<b.registered>&version=1"),
    "artifact-head": Step("HEAD", f"{FILES}/<b.file>"),
    "artifact-range": get(f"{FILES}/<b.file>", ("Range", "bytes=0-3")),
}

WRITES: Mapping[str, Step] = {
    "experiment-rename": _post("/experiments/update", experiment_id="<b.experiment>", new_name="taken"),
    "experiment-delete": _post("/experiments/delete", experiment_id="<b.experiment>"),
    "experiment-tag": _post("/experiments/set-experiment-tag", experiment_id="<b.experiment>", **_TAG),
    "experiment-untag": _post("/experiments/delete-experiment-tag", experiment_id="<b.experiment>", key="secret"),
    "run-create": _post("/runs/create", experiment_id="<b.experiment>", start_time=3, run_name="planted"),
    "run-update": _post("/runs/update", run_id="<b.run>", status="FAILED", end_time=9),
    "run-rename": _post("/runs/update", run_uuid="<b.run>", run_id="<b.run>", run_name="renamed"),
    "run-delete": _post("/runs/delete", run_id="<b.run>"),
    "run-metric": _post("/runs/log-metric", run_id="<b.run>", key="loss", value=0.9, timestamp=9, step=9),
    "run-metric-by-uuid": _post("/runs/log-metric", run_uuid="<b.run>", key="loss", value=0.9, timestamp=9, step=9),
    "run-param": _post("/runs/log-parameter", run_id="<b.run>", **_TAG),
    "run-batch": _post("/runs/log-batch", run_id="<b.run>", params=[_TAG], metrics=[], tags=[_TAG]),
    "run-model": _post(
        "/runs/log-model",
        run_id="<b.run>",
        model_json='{"artifact_path": "model", "run_id": "<b.run>", "utc_time_created": "2026-01-01 00:00:00",'
        ' "flavors": {"python_function": {}}, "model_uuid": "0"}',
    ),
    "run-outputs": _post("/runs/outputs", run_id="<b.run>", models=[{"model_id": "<b.model>", "step": 0}]),
    "run-inputs": _post("/runs/log-inputs", run_id="<b.run>", models=[{"model_id": "<b.model>"}]),
    "run-dataset": _post(
        "/runs/log-inputs",
        run_id="<b.run>",
        datasets=[{"dataset": {"name": "d", "digest": "1", "source_type": "local", "source": "x"}, "tags": []}],
    ),
    "run-tag": _post("/runs/set-tag", run_id="<b.run>", **_TAG),
    "run-tag-by-uuid": _post("/runs/set-tag", run_uuid="<b.run>", **_TAG),
    "run-untag": _post("/runs/delete-tag", run_id="<b.run>", key="secret"),
    "logged-model-create": _post("/logged-models", experiment_id="<b.experiment>", name="planted"),
    "logged-model-fail": send("PATCH", f"{V2}/logged-models/<b.model>", {"model_id": "<b.model>", "status": 3}),
    "logged-model-delete": send("DELETE", f"{V2}/logged-models/<b.model>", {}),
    "logged-model-params": _post("/logged-models/<b.model>/params", model_id="<b.model>", params=[_TAG]),
    "logged-model-tags": send("PATCH", f"{V2}/logged-models/<b.model>/tags", {"tags": [_TAG]}),
    "logged-model-untag": send("DELETE", f"{V2}/logged-models/<b.model>/tags/secret", {}),
    "model-describe": send(
        "PATCH", f"{V2}/registered-models/update", {"name": "<b.registered>", "description": "taken"}
    ),
    "model-rename": _post("/registered-models/rename", name="<b.registered>", new_name="taken"),
    "model-tag": _post("/registered-models/set-tag", name="<b.registered>", **_TAG),
    "model-untag": send("DELETE", f"{V2}/registered-models/delete-tag", {"name": "<b.registered>", "key": "secret"}),
    "model-alias": _post("/registered-models/alias", name="<b.registered>", alias="best", version="2"),
    "model-unalias": send("DELETE", f"{V2}/registered-models/alias", {"name": "<b.registered>", "alias": "best"}),
    "version-create": _post(
        "/model-versions/create", name="<b.registered>", source="runs:/<b.run>/model", run_id="<b.run>"
    ),
    "version-describe": send(
        "PATCH", f"{V2}/model-versions/update", {"name": "<b.registered>", "version": "1", "description": "taken"}
    ),
    "version-stage": _post(
        "/model-versions/transition-stage",
        name="<b.registered>",
        version="1",
        stage="Archived",
        archive_existing_versions=False,
    ),
    "version-tag": _post("/model-versions/set-tag", name="<b.registered>", version="1", **_TAG),
    "version-untag": send(
        "DELETE", f"{V2}/model-versions/delete-tag", {"name": "<b.registered>", "version": "1", "key": "secret"}
    ),
    "artifact-overwrite": put("<b.file>", "planted by a"),
    "artifact-add": put("<b.root>/planted.txt", "planted by a"),
    "artifact-add-to-logged-model": put("<b.logged_root>/planted.txt", "planted by a"),
}

DELETES: Mapping[str, Step] = {
    "model-delete": send("DELETE", f"{V2}/registered-models/delete", {"name": "<b.registered>"}),
    "version-delete": send("DELETE", f"{V2}/model-versions/delete", {"name": "<b.registered>", "version": "1"}),
    "artifact-delete": Step("DELETE", f"{FILES}/<b.file>"),
    "artifacts-delete": Step("DELETE", f"{FILES}/<b.root>/model"),
}

#: What undoes something, with what has to be done first for the owner to see a change.
UNDOINGS: Mapping[str, tuple[Step, Step]] = {
    "experiment-restore": (WRITES["experiment-delete"], _post("/experiments/restore", experiment_id="<b.experiment>")),
    "run-restore": (WRITES["run-delete"], _post("/runs/restore", run_id="<b.run>")),
}
