"""The reviewed routes: all that is open, each with its permission. What is not here answers 404.

The tracking and registry routes are what stock clients 2.9 to 3.17 were seen to send while logging,
registering, finding, changing and reloading models (MLflow's ``service.proto``,
``model_registry.proto`` and ``mlflow_artifacts.proto`` at 3.17). Left out on purpose: traces,
assistant, jobs, gateway, webhooks, prompts, datasets, graphql and the ``/ajax-api`` twins.
"""

from __future__ import annotations

from hokusai.gateway.route import TRACKING_PREFIX, Body, Route
from hokusai.identity import Permission

P = Permission

_V2 = "/api/2.0/mlflow"
_V3 = "/api/3.0/mlflow"
_FILES = "/api/2.0/mlflow-artifacts/artifacts"
_V1 = "/api/v1"


def _get(path: str, permission: P, *fields: str) -> Route:
    return Route("GET", _V2 + path, "tracking", permission, Body.NONE, fields)


def _send(method: str, path: str, permission: P, *fields: str) -> Route:
    return Route(method, _V2 + path, "tracking", permission, Body.JSON, fields)


_SEARCH = ("filter", "max_results", "order_by*", "page_token")

EXPERIMENTS = (
    _get("/experiments/get", P.RUNS_READ, "experiment_id"),
    _get("/experiments/get-by-name", P.RUNS_READ, "experiment_name"),
    _get("/experiments/search", P.RUNS_READ, *_SEARCH, "view_type"),
    _send("POST", "/experiments/search", P.RUNS_READ, *_SEARCH, "view_type"),
    _send("POST", "/experiments/create", P.RUNS_WRITE, "name", "artifact_location", "tags"),
    _send("POST", "/experiments/update", P.RUNS_WRITE, "experiment_id", "new_name"),
    _send("POST", "/experiments/delete", P.RUNS_WRITE, "experiment_id"),
    _send("POST", "/experiments/restore", P.RUNS_WRITE, "experiment_id"),
    _send("POST", "/experiments/set-experiment-tag", P.RUNS_WRITE, "experiment_id", "key", "value"),
    _send("POST", "/experiments/delete-experiment-tag", P.RUNS_WRITE, "experiment_id", "key"),
)

_RUN = ("run_id", "run_uuid")

RUNS = (
    _get("/runs/get", P.RUNS_READ, *_RUN),
    _get("/metrics/get-history", P.RUNS_READ, *_RUN, "metric_key", "page_token", "max_results"),
    _send("POST", "/runs/search", P.RUNS_READ, *_SEARCH, "experiment_ids", "run_view_type"),
    _send("POST", "/runs/create", P.RUNS_WRITE, "experiment_id", "user_id", "run_name", "start_time", "tags"),
    _send("POST", "/runs/update", P.RUNS_WRITE, *_RUN, "status", "end_time", "run_name"),
    _send("POST", "/runs/delete", P.RUNS_WRITE, "run_id"),
    _send("POST", "/runs/restore", P.RUNS_WRITE, "run_id"),
    _send(
        "POST",
        "/runs/log-metric",
        P.RUNS_WRITE,
        *_RUN,
        *("key", "value", "timestamp", "step", "model_id", "dataset_name", "dataset_digest"),
    ),
    _send("POST", "/runs/log-parameter", P.RUNS_WRITE, *_RUN, "key", "value"),
    _send("POST", "/runs/log-batch", P.RUNS_WRITE, "run_id", "metrics", "params", "tags"),
    _send("POST", "/runs/log-model", P.RUNS_WRITE, "run_id", "model_json"),
    _send("POST", "/runs/log-inputs", P.RUNS_WRITE, "run_id", "datasets", "models"),
    _send("POST", "/runs/outputs", P.RUNS_WRITE, "run_id", "models"),
    _send("POST", "/runs/set-tag", P.RUNS_WRITE, *_RUN, "key", "value"),
    _send("POST", "/runs/delete-tag", P.RUNS_WRITE, "run_id", "key"),
)

LOGGED_MODELS = (
    _get("/logged-models/{model_id}", P.RUNS_READ),
    _send("POST", "/logged-models/search", P.RUNS_READ, *_SEARCH, "experiment_ids", "datasets"),
    _send(
        "POST",
        "/logged-models",
        P.RUNS_WRITE,
        *("experiment_id", "name", "model_type", "source_run_id", "params", "tags"),
    ),
    _send("PATCH", "/logged-models/{model_id}", P.RUNS_WRITE, "model_id", "status"),
    _send("DELETE", "/logged-models/{model_id}", P.RUNS_WRITE, "model_id"),
    _send("POST", "/logged-models/{model_id}/params", P.RUNS_WRITE, "model_id", "params"),
    _send("PATCH", "/logged-models/{model_id}/tags", P.RUNS_WRITE, "model_id", "tags"),
    _send("DELETE", "/logged-models/{model_id}/tags/{tag_key}", P.RUNS_WRITE, "model_id", "tag_key"),
)

_VERSION = ("name", "version")

MODELS = (
    _get("/registered-models/get", P.MODELS_READ, "name"),
    _get("/registered-models/search", P.MODELS_READ, *_SEARCH),
    _get("/registered-models/get-latest-versions", P.MODELS_READ, "name", "stages*"),
    _send("POST", "/registered-models/get-latest-versions", P.MODELS_READ, "name", "stages"),
    _get("/registered-models/alias", P.MODELS_READ, "name", "alias"),
    _send("POST", "/registered-models/create", P.MODELS_WRITE, "name", "tags", "description"),
    _send("PATCH", "/registered-models/update", P.MODELS_WRITE, "name", "description"),
    _send("POST", "/registered-models/rename", P.MODELS_WRITE, "name", "new_name"),
    _send("POST", "/registered-models/set-tag", P.MODELS_WRITE, "name", "key", "value"),
    _send("DELETE", "/registered-models/delete-tag", P.MODELS_WRITE, "name", "key"),
    _send("POST", "/registered-models/alias", P.MODELS_WRITE, "name", "alias", "version"),
    _send("DELETE", "/registered-models/alias", P.MODELS_WRITE, "name", "alias"),
    _send("DELETE", "/registered-models/delete", P.MODELS_DELETE, "name"),
    _get("/model-versions/get", P.MODELS_READ, *_VERSION),
    _get("/model-versions/search", P.MODELS_READ, *_SEARCH),
    _get("/model-versions/get-download-uri", P.MODELS_READ, *_VERSION),
    _send(
        "POST",
        "/model-versions/create",
        P.MODELS_WRITE,
        *("name", "source", "run_id", "tags", "run_link", "description", "model_id"),
    ),
    _send("PATCH", "/model-versions/update", P.MODELS_WRITE, *_VERSION, "description"),
    _send(
        "POST",
        "/model-versions/transition-stage",
        P.MODELS_WRITE,
        *(*_VERSION, "stage", "archive_existing_versions"),
    ),
    _send("POST", "/model-versions/set-tag", P.MODELS_WRITE, *_VERSION, "key", "value"),
    _send("DELETE", "/model-versions/delete-tag", P.MODELS_WRITE, *_VERSION, "key"),
    _send("DELETE", "/model-versions/delete", P.MODELS_DELETE, *_VERSION),
)

ARTIFACTS = (
    Route("GET", _FILES, "artifacts", P.ARTIFACTS_READ, fields=("path", "page_token")),
    Route("GET", _FILES + "/{path:path}", "artifacts", P.ARTIFACTS_READ),
    Route("HEAD", _FILES + "/{path:path}", "artifacts", P.ARTIFACTS_READ),
    Route("PUT", _FILES + "/{path:path}", "artifacts", P.ARTIFACTS_WRITE, Body.STREAM),
    Route("DELETE", _FILES + "/{path:path}", "artifacts", P.ARTIFACTS_DELETE),
)


def _auth(method: str, path: str, permission: P | None, *, public: bool = False) -> Route:
    body = Body.JSON if method == "POST" else Body.NONE
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
