"""The reviewed routes: all that is open, each with its permission. What is not here answers 404.

The tracking and registry routes are what stock clients 2.9 to 3.17 were seen to send while logging,
registering, finding, changing and reloading models (MLflow's ``service.proto``,
``model_registry.proto`` and ``mlflow_artifacts.proto`` at 3.17). Left out on purpose: traces,
assistant, jobs, gateway, webhooks, prompts, datasets, graphql and the ``/ajax-api`` twins.
"""

from __future__ import annotations

from hokusai.gateway.field import Field, ResourceType, fields
from hokusai.gateway.route import TRACKING_PREFIX, Body, Route
from hokusai.identity import Permission

P = Permission
T = ResourceType

_V2 = "/api/2.0/mlflow"
_V3 = "/api/3.0/mlflow"
_FILES = "/api/2.0/mlflow-artifacts/artifacts"
_PARTS = "/api/2.0/mlflow-artifacts/mpu/create/{path:path}"
_V1 = "/api/v1"


def _get(path: str, permission: P, *takes: str | Field | tuple[Field, ...]) -> Route:
    return Route("GET", _V2 + path, "tracking", permission, Body.NONE, fields(*takes))


def _send(method: str, path: str, permission: P, *takes: str | Field | tuple[Field, ...]) -> Route:
    return Route(method, _V2 + path, "tracking", permission, Body.JSON, fields(*takes))


_EXPERIMENT = Field("experiment_id", of=T.EXPERIMENT)
_EXPERIMENTS = Field("experiment_ids", of=T.EXPERIMENT)
_RUN = (Field("run_id", of=T.RUN), Field("run_uuid", of=T.RUN))
_RUN_ID = Field("run_id", of=T.RUN)
_LOGGED_MODEL = Field("model_id", of=T.LOGGED_MODEL)
_LOGGED_MODELS = Field("models", parts=fields(_LOGGED_MODEL, "step"))
_MODEL = Field("name", of=T.MODEL)
_VERSION = fields(_MODEL, "version")

_PAIR = fields("key", "value")
_TAGS = Field("tags", parts=_PAIR)
_PARAMS = Field("params", parts=_PAIR)
_MEASURED = fields("key", "value", "timestamp", "step", _LOGGED_MODEL, "dataset_name", "dataset_digest")
_DATASET = Field("dataset", parts=fields("name", "digest", "source_type", "source", "schema", "profile"))
_DATASETS = Field("datasets", parts=fields(_DATASET, _TAGS))
_SEARCH = fields("filter", "max_results", Field("order_by", many=True), "page_token")
#: Logged models are searched and ordered by objects, where all else is by text.
_RANKED = fields(
    *("filter", "max_results", "page_token"),
    Field("order_by", parts=fields("field_name", "ascending", "dataset_name", "dataset_digest")),
    Field("datasets", parts=fields("dataset_name", "dataset_digest")),
)

EXPERIMENTS = (
    _get("/experiments/get", P.RUNS_READ, _EXPERIMENT),
    _get("/experiments/get-by-name", P.RUNS_READ, Field("experiment_name", of=T.EXPERIMENT)),
    _get("/experiments/search", P.RUNS_READ, _SEARCH, "view_type"),
    _send("POST", "/experiments/search", P.RUNS_READ, _SEARCH, "view_type"),
    _send("POST", "/experiments/create", P.RUNS_WRITE, "name", "artifact_location", _TAGS),
    _send("POST", "/experiments/update", P.RUNS_WRITE, _EXPERIMENT, "new_name"),
    _send("POST", "/experiments/delete", P.RUNS_WRITE, _EXPERIMENT),
    _send("POST", "/experiments/restore", P.RUNS_WRITE, _EXPERIMENT),
    _send("POST", "/experiments/set-experiment-tag", P.RUNS_WRITE, _EXPERIMENT, "key", "value"),
    _send("POST", "/experiments/delete-experiment-tag", P.RUNS_WRITE, _EXPERIMENT, "key"),
)

RUNS = (
    _get("/runs/get", P.RUNS_READ, _RUN),
    _get("/metrics/get-history", P.RUNS_READ, _RUN, "metric_key", "page_token", "max_results"),
    _send("POST", "/runs/search", P.RUNS_READ, _SEARCH, _EXPERIMENTS, "run_view_type"),
    _send("POST", "/runs/create", P.RUNS_WRITE, _EXPERIMENT, "user_id", "run_name", "start_time", _TAGS),
    _send("POST", "/runs/update", P.RUNS_WRITE, _RUN, "status", "end_time", "run_name"),
    _send("POST", "/runs/delete", P.RUNS_WRITE, _RUN_ID),
    _send("POST", "/runs/restore", P.RUNS_WRITE, _RUN_ID),
    _send("POST", "/runs/log-metric", P.RUNS_WRITE, _RUN, _MEASURED),
    _send("POST", "/runs/log-parameter", P.RUNS_WRITE, _RUN, "key", "value"),
    _send("POST", "/runs/log-batch", P.RUNS_WRITE, _RUN_ID, Field("metrics", parts=_MEASURED), _PARAMS, _TAGS),
    _send("POST", "/runs/log-model", P.RUNS_WRITE, _RUN_ID, "model_json"),
    _send("POST", "/runs/log-inputs", P.RUNS_WRITE, _RUN_ID, _DATASETS, _LOGGED_MODELS),
    _send("POST", "/runs/outputs", P.RUNS_WRITE, _RUN_ID, _LOGGED_MODELS),
    _send("POST", "/runs/set-tag", P.RUNS_WRITE, _RUN, "key", "value"),
    _send("POST", "/runs/delete-tag", P.RUNS_WRITE, _RUN_ID, "key"),
)

LOGGED_MODELS = (
    _get("/logged-models/{model_id}", P.RUNS_READ),
    _send("POST", "/logged-models/search", P.RUNS_READ, _RANKED, _EXPERIMENTS),
    _send(
        "POST",
        "/logged-models",
        P.RUNS_WRITE,
        *(_EXPERIMENT, "name", "model_type", Field("source_run_id", of=T.RUN), _PARAMS, _TAGS),
    ),
    _send("PATCH", "/logged-models/{model_id}", P.RUNS_WRITE, _LOGGED_MODEL, "status"),
    _send("DELETE", "/logged-models/{model_id}", P.RUNS_WRITE, _LOGGED_MODEL),
    _send("POST", "/logged-models/{model_id}/params", P.RUNS_WRITE, _LOGGED_MODEL, _PARAMS),
    _send("PATCH", "/logged-models/{model_id}/tags", P.RUNS_WRITE, _LOGGED_MODEL, _TAGS),
    _send("DELETE", "/logged-models/{model_id}/tags/{tag_key}", P.RUNS_WRITE, _LOGGED_MODEL),
)

MODELS = (
    _get("/registered-models/get", P.MODELS_READ, _MODEL),
    _get("/registered-models/search", P.MODELS_READ, _SEARCH),
    _get("/registered-models/get-latest-versions", P.MODELS_READ, _MODEL, Field("stages", many=True)),
    _send("POST", "/registered-models/get-latest-versions", P.MODELS_READ, _MODEL, "stages"),
    _get("/registered-models/alias", P.MODELS_READ, _MODEL, "alias"),
    _send("POST", "/registered-models/create", P.MODELS_WRITE, "name", _TAGS, "description"),
    _send("PATCH", "/registered-models/update", P.MODELS_WRITE, _MODEL, "description"),
    _send("POST", "/registered-models/rename", P.MODELS_WRITE, _MODEL, "new_name"),
    _send("POST", "/registered-models/set-tag", P.MODELS_WRITE, _MODEL, "key", "value"),
    _send("DELETE", "/registered-models/delete-tag", P.MODELS_WRITE, _MODEL, "key"),
    _send("POST", "/registered-models/alias", P.MODELS_WRITE, _MODEL, "alias", "version"),
    _send("DELETE", "/registered-models/alias", P.MODELS_WRITE, _MODEL, "alias"),
    _send("DELETE", "/registered-models/delete", P.MODELS_DELETE, _MODEL),
    _get("/model-versions/get", P.MODELS_READ, _VERSION),
    _get("/model-versions/search", P.MODELS_READ, _SEARCH),
    _get("/model-versions/get-download-uri", P.MODELS_READ, _VERSION),
    _send(
        "POST",
        "/model-versions/create",
        P.MODELS_WRITE,
        *(_MODEL, "source", _RUN_ID, _TAGS, "run_link", "description", _LOGGED_MODEL),
    ),
    _send("PATCH", "/model-versions/update", P.MODELS_WRITE, _VERSION, "description"),
    _send(
        "POST",
        "/model-versions/transition-stage",
        P.MODELS_WRITE,
        *(_VERSION, "stage", "archive_existing_versions"),
    ),
    _send("POST", "/model-versions/set-tag", P.MODELS_WRITE, _VERSION, "key", "value"),
    _send("DELETE", "/model-versions/delete-tag", P.MODELS_WRITE, _VERSION, "key"),
    _send("DELETE", "/model-versions/delete", P.MODELS_DELETE, _VERSION),
)

ARTIFACTS = (
    Route("GET", _FILES, "artifacts", P.ARTIFACTS_READ, fields=fields(Field("path", of=T.ARTIFACT), "page_token")),
    Route("GET", _FILES + "/{path:path}", "artifacts", P.ARTIFACTS_READ),
    Route("HEAD", _FILES + "/{path:path}", "artifacts", P.ARTIFACTS_READ),
    Route("PUT", _FILES + "/{path:path}", "artifacts", P.ARTIFACTS_WRITE, Body.STREAM),
    Route("DELETE", _FILES + "/{path:path}", "artifacts", P.ARTIFACTS_DELETE),
    # Open only to say that it is not offered: clients go on without it then, and fail where there is no such route.
    Route("POST", _PARTS, "artifacts", P.ARTIFACTS_WRITE, Body.JSON, fields()),
)


def _auth(method: str, path: str, permission: P | None, *, public: bool = False) -> Route:
    body = Body.JSON if method in {"POST", "PATCH"} else Body.NONE
    return Route(method, _V1 + path, "auth", permission, body, None, public)


AUTH = (
    _auth("GET", "/keys", P.KEYS_READ),
    _auth("POST", "/keys", P.KEYS_WRITE),
    _auth("GET", "/keys/self", None),
    _auth("POST", "/keys/validate", P.KEYS_VALIDATE),
    _auth("GET", "/keys/{key_id}", P.KEYS_READ),
    _auth("DELETE", "/keys/{key_id}", P.KEYS_WRITE),
    _auth("POST", "/keys/{key_id}/rotate", P.KEYS_WRITE),
    _auth("GET", "/workspaces", P.WORKSPACES_READ),
    _auth("POST", "/workspaces", P.WORKSPACES_WRITE),
    _auth("GET", "/workspaces/{workspace}", P.WORKSPACES_READ),
    _auth("PATCH", "/workspaces/{workspace}", P.WORKSPACES_WRITE),
    _auth("DELETE", "/workspaces/{workspace}", P.WORKSPACES_WRITE),
    _auth("POST", "/workspaces/{workspace}/suspend", P.WORKSPACES_WRITE),
    _auth("POST", "/workspaces/{workspace}/resume", P.WORKSPACES_WRITE),
    _auth("POST", "/usage/{key_id}", P.USAGE_WRITE),
    _auth("GET", "/usage/{key_id}/stats", P.USAGE_READ),
    _auth("GET", "/openapi.json", None, public=True),
)

PLATFORM = (
    Route("GET", "/", "home", public=True),
    Route("HEAD", "/", "home", public=True),
    Route("GET", "/health", "home", public=True),
    Route("HEAD", "/health", "home", public=True),
    Route("GET", "/ready", "home", public=True),
    Route("GET", "/version", "home", public=True),
    Route("GET", "/metrics", "home", P.METRICS_READ),
)

#: What a client learns about the server it talks to, answered by us: MLflow's own answer would offer
#: workspaces and multipart routes that the gateway does not open.
SERVER_INFO = (
    Route("GET", _V3 + "/server-info", "home"),
    Route("GET", TRACKING_PREFIX + "/version", "home", public=True),
)

TRACKING = EXPERIMENTS + RUNS + LOGGED_MODELS + MODELS
REGISTRY = TRACKING + ARTIFACTS + SERVER_INFO
ROUTES = PLATFORM + REGISTRY + AUTH
