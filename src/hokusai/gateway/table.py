"""The reviewed routes: every route that is open, with its permission, its body and its fields. Others answer 404.

The tracking and registry routes are those that stock clients 2.9 to 3.17 send to log, register, find, change and reload
models (MLflow's ``service.proto``, ``model_registry.proto`` and ``mlflow_artifacts.proto`` at 3.17). Left out on
purpose: traces, assistant, jobs, gateway, webhooks, prompts, datasets, graphql and the ``/ajax-api`` twins.
"""

from __future__ import annotations

from hokusai import mlflow_api
from hokusai.actions import Action, SubjectType
from hokusai.gateway.field import BOOLEAN, ENUM, INT64, NUMBER, Field, fields
from hokusai.gateway.route import Answer, Body, Route
from hokusai.identity import Permission
from hokusai.references import ResourceType

P = Permission
T = ResourceType
A = Action
S = SubjectType

_V2 = mlflow_api.V2
_FILES = mlflow_api.ARTIFACTS
_PARTS = mlflow_api.MULTIPART + "/create/{path:path}"
_V1 = "/api/v1"


def _get(path: str, permission: P, *takes: str | Field | tuple[Field, ...]) -> Route:
    return Route("GET", _V2 + path, "tracking", permission, Body.NONE, fields(*takes))


def _send(
    method: str,
    path: str,
    permission: P,
    *takes: str | Field | tuple[Field, ...],
    does: A | None = None,
    answers: tuple[Answer, ...] = (),
) -> Route:
    return Route(method, _V2 + path, "tracking", permission, Body.JSON, fields(*takes), action=does, answers=answers)


# What a request acts on: MLflow itself looks it up in the workspace.
_EXPERIMENT = Field("experiment_id", INT64, of=T.EXPERIMENT, target=True)
_EXPERIMENT_NAME = Field("experiment_name", of=T.EXPERIMENT, target=True)
_EXPERIMENTS = Field("experiment_ids", INT64, many=True, of=T.EXPERIMENT, target=True)
_RUN = Field("run_id", of=T.RUN, target=True)
#: A run by ``run_id``, or by its old name.
_RUN_OR_UUID = (_RUN, Field("run_uuid", of=T.RUN, target=True))
_LOGGED_MODEL = Field("model_id", of=T.LOGGED_MODEL, target=True)
_MODEL = Field("name", of=T.MODEL, target=True)
_VERSION = fields(_MODEL, Field("version", INT64, names=S.VERSION))
_ALIAS = Field("alias", names=S.ALIAS)
_PATH = Field("path", of=T.ARTIFACT, target=True)

# What a request merely refers to: MLflow takes it from any workspace, so it is checked before.
_RUN_REFERENCE = Field("run_id", of=T.RUN)
_SOURCE_RUN_REFERENCE = Field("source_run_id", of=T.RUN)
_LOGGED_MODEL_REFERENCE = Field("model_id", of=T.LOGGED_MODEL)

# What does not exist yet, and what the audit trail tells besides.
_NEW_EXPERIMENT = Field("name", names=S.EXPERIMENT)
_NEW_MODEL = Field("name", names=S.MODEL)
_NEW_NAME = Field("new_name", noted=True)
_TAG_KEY = Field("key", noted=True)
_SOURCE = Field("source", noted=True)
_STAGE = Field("stage", noted=True)

# Plain values. The longest are what MLflow's tables hold on PostgreSQL, and what a filter may cost to parse.
_DESCRIPTION = Field("description", max_length=5000)
_RUN_NAME = Field("run_name", max_length=250)
_RUN_LINK = Field("run_link", max_length=500)
_MODEL_TYPE = Field("model_type", max_length=500)
_STEP = Field("step", INT64)
_STAGES = Field("stages", many=True)
# A condition and a term of an order are a join each, and SQLite joins 64 tables: MLflow then fails with 503.
_MAX_TERMS = 10
_FILTER = Field("filter", max_length=10_000, max_conditions=30)
_ORDER_BY = Field("order_by", many=True, max_length=1000, max_items=_MAX_TERMS)
_VIEW_TYPE = Field("view_type", ENUM)
_STATUS = Field("status", ENUM)

# Groups and objects.
_PAGE = fields(Field("max_results", INT64), "page_token")
_SEARCH = fields(_FILTER, _ORDER_BY, _PAGE)
#: MLflow stores up to 100,000 characters in a tag of a registered model, and less elsewhere.
_VALUE = Field("value", max_length=100_000)
_PAIR = fields("key", _VALUE)
_TAGS = Field("tags", many=True, parts=_PAIR)
_PARAMS = Field("params", many=True, parts=_PAIR)
_METRIC = fields(
    *("key", Field("value", NUMBER), Field("timestamp", INT64), _STEP),
    *(_LOGGED_MODEL_REFERENCE, "dataset_name", "dataset_digest"),
)
_METRICS = Field("metrics", many=True, parts=_METRIC)
#: MLflow answers a search with every dataset of every run it finds, so these are far smaller than its tables hold.
_DATASET = Field(
    "dataset",
    parts=fields(
        *(Field("name", max_length=500), Field("digest", max_length=36), Field("source_type", max_length=36)),
        *(Field("source", max_length=2**16 - 1), Field("schema", max_length=2**18), Field("profile", max_length=2**16)),
    ),
)
_DATASETS = Field("datasets", many=True, parts=fields(_DATASET, _TAGS))
_INPUT_MODELS = Field("models", many=True, parts=fields(_LOGGED_MODEL_REFERENCE))
_OUTPUT_MODELS = Field("models", many=True, parts=fields(_LOGGED_MODEL_REFERENCE, _STEP))
#: Logged models are ordered and filtered by objects, where all else is by text.
_LOGGED_MODEL_SEARCH = fields(
    *(_FILTER, _PAGE),
    Field(
        "order_by",
        many=True,
        max_items=_MAX_TERMS,
        parts=fields("field_name", Field("ascending", BOOLEAN), "dataset_name", "dataset_digest"),
    ),
    Field("datasets", many=True, max_items=30, parts=fields("dataset_name", "dataset_digest")),
)

EXPERIMENTS = (
    _get("/experiments/get", P.RUNS_READ, _EXPERIMENT),
    _get("/experiments/get-by-name", P.RUNS_READ, _EXPERIMENT_NAME),
    _get("/experiments/search", P.RUNS_READ, _SEARCH, _VIEW_TYPE),
    _send("POST", "/experiments/search", P.RUNS_READ, _SEARCH, _VIEW_TYPE),
    _send(
        "POST",
        "/experiments/create",
        P.RUNS_WRITE,
        _NEW_EXPERIMENT,
        "artifact_location",
        _TAGS,
        does=A.EXPERIMENT_CREATE,
        answers=(Answer("experiment_id", S.EXPERIMENT),),
    ),
    _send("POST", "/experiments/update", P.RUNS_WRITE, _EXPERIMENT, _NEW_NAME, does=A.EXPERIMENT_UPDATE),
    _send("POST", "/experiments/delete", P.RUNS_WRITE, _EXPERIMENT, does=A.EXPERIMENT_DELETE),
    _send("POST", "/experiments/restore", P.RUNS_WRITE, _EXPERIMENT, does=A.EXPERIMENT_RESTORE),
    _send(
        "POST", "/experiments/set-experiment-tag", P.RUNS_WRITE, _EXPERIMENT, _TAG_KEY, _VALUE, does=A.EXPERIMENT_TAG
    ),
    _send("POST", "/experiments/delete-experiment-tag", P.RUNS_WRITE, _EXPERIMENT, _TAG_KEY, does=A.EXPERIMENT_UNTAG),
)

RUNS = (
    _get("/runs/get", P.RUNS_READ, _RUN_OR_UUID),
    _get("/metrics/get-history", P.RUNS_READ, _RUN_OR_UUID, "metric_key", _PAGE),
    _send("POST", "/runs/search", P.RUNS_READ, _SEARCH, _EXPERIMENTS, Field("run_view_type", ENUM)),
    _send(
        "POST",
        "/runs/create",
        P.RUNS_WRITE,
        _EXPERIMENT,
        "user_id",
        _RUN_NAME,
        Field("start_time", INT64),
        _TAGS,
        does=A.RUN_CREATE,
        answers=(Answer("run.info.run_id", S.RUN),),
    ),
    _send(
        "POST",
        "/runs/update",
        P.RUNS_WRITE,
        _RUN_OR_UUID,
        _STATUS,
        Field("end_time", INT64),
        _RUN_NAME,
        does=A.RUN_UPDATE,
    ),
    _send("POST", "/runs/delete", P.RUNS_WRITE, _RUN, does=A.RUN_DELETE),
    _send("POST", "/runs/restore", P.RUNS_WRITE, _RUN, does=A.RUN_RESTORE),
    _send("POST", "/runs/log-metric", P.RUNS_WRITE, _RUN_OR_UUID, _METRIC, does=A.RUN_LOG),
    _send("POST", "/runs/log-parameter", P.RUNS_WRITE, _RUN_OR_UUID, "key", _VALUE, does=A.RUN_LOG),
    _send("POST", "/runs/log-batch", P.RUNS_WRITE, _RUN, _METRICS, _PARAMS, _TAGS, does=A.RUN_LOG),
    _send("POST", "/runs/log-model", P.RUNS_WRITE, _RUN, Field("model_json", max_length=None), does=A.RUN_LOG),
    _send("POST", "/runs/log-inputs", P.RUNS_WRITE, _RUN, _DATASETS, _INPUT_MODELS, does=A.RUN_LOG),
    _send("POST", "/runs/outputs", P.RUNS_WRITE, _RUN, _OUTPUT_MODELS, does=A.RUN_LOG),
    _send("POST", "/runs/set-tag", P.RUNS_WRITE, _RUN_OR_UUID, _TAG_KEY, _VALUE, does=A.RUN_TAG),
    _send("POST", "/runs/delete-tag", P.RUNS_WRITE, _RUN, _TAG_KEY, does=A.RUN_UNTAG),
)

LOGGED_MODELS = (
    _get("/logged-models/{model_id}", P.RUNS_READ),
    _send("POST", "/logged-models/search", P.RUNS_READ, _LOGGED_MODEL_SEARCH, _EXPERIMENTS),
    _send(
        "POST",
        "/logged-models",
        P.RUNS_WRITE,
        *(_EXPERIMENT, Field("name", noted=True), _MODEL_TYPE, _SOURCE_RUN_REFERENCE, _PARAMS, _TAGS),
        does=A.LOGGED_MODEL_CREATE,
        answers=(Answer("model.info.model_id", S.LOGGED_MODEL),),
    ),
    _send("PATCH", "/logged-models/{model_id}", P.RUNS_WRITE, _LOGGED_MODEL, _STATUS, does=A.LOGGED_MODEL_UPDATE),
    _send("DELETE", "/logged-models/{model_id}", P.RUNS_WRITE, _LOGGED_MODEL, does=A.LOGGED_MODEL_DELETE),
    _send("POST", "/logged-models/{model_id}/params", P.RUNS_WRITE, _LOGGED_MODEL, _PARAMS, does=A.LOGGED_MODEL_LOG),
    _send("PATCH", "/logged-models/{model_id}/tags", P.RUNS_WRITE, _LOGGED_MODEL, _TAGS, does=A.LOGGED_MODEL_TAG),
    _send("DELETE", "/logged-models/{model_id}/tags/{tag_key}", P.RUNS_WRITE, _LOGGED_MODEL, does=A.LOGGED_MODEL_UNTAG),
)

MODELS = (
    _get("/registered-models/get", P.MODELS_READ, _MODEL),
    _get("/registered-models/search", P.MODELS_READ, _SEARCH),
    _get("/registered-models/get-latest-versions", P.MODELS_READ, _MODEL, _STAGES),
    _send("POST", "/registered-models/get-latest-versions", P.MODELS_READ, _MODEL, _STAGES),
    _get("/registered-models/alias", P.MODELS_READ, _MODEL, "alias"),
    _send("POST", "/registered-models/create", P.MODELS_WRITE, _NEW_MODEL, _TAGS, _DESCRIPTION, does=A.MODEL_CREATE),
    _send("PATCH", "/registered-models/update", P.MODELS_WRITE, _MODEL, _DESCRIPTION, does=A.MODEL_UPDATE),
    _send("POST", "/registered-models/rename", P.MODELS_WRITE, _MODEL, _NEW_NAME, does=A.MODEL_RENAME),
    _send("POST", "/registered-models/set-tag", P.MODELS_WRITE, _MODEL, _TAG_KEY, _VALUE, does=A.MODEL_TAG),
    _send("DELETE", "/registered-models/delete-tag", P.MODELS_WRITE, _MODEL, _TAG_KEY, does=A.MODEL_UNTAG),
    _send("POST", "/registered-models/alias", P.MODELS_WRITE, _VERSION, _ALIAS, does=A.ALIAS_SET),
    _send("DELETE", "/registered-models/alias", P.MODELS_WRITE, _MODEL, _ALIAS, does=A.ALIAS_DELETE),
    _send("DELETE", "/registered-models/delete", P.MODELS_DELETE, _MODEL, does=A.MODEL_DELETE),
    _get("/model-versions/get", P.MODELS_READ, _VERSION),
    _get("/model-versions/search", P.MODELS_READ, _SEARCH),
    _get("/model-versions/get-download-uri", P.MODELS_READ, _VERSION),
    _send(
        "POST",
        "/model-versions/create",
        P.MODELS_WRITE,
        *(_MODEL, _SOURCE, _RUN_REFERENCE, _LOGGED_MODEL_REFERENCE, _RUN_LINK, _DESCRIPTION, _TAGS),
        does=A.VERSION_CREATE,
        answers=(Answer("model_version.version", S.VERSION),),
    ),
    _send("PATCH", "/model-versions/update", P.MODELS_WRITE, _VERSION, _DESCRIPTION, does=A.VERSION_UPDATE),
    _send(
        "POST",
        "/model-versions/transition-stage",
        P.MODELS_WRITE,
        *(_VERSION, _STAGE, Field("archive_existing_versions", BOOLEAN)),
        does=A.VERSION_STAGE,
    ),
    _send("POST", "/model-versions/set-tag", P.MODELS_WRITE, _VERSION, _TAG_KEY, _VALUE, does=A.VERSION_TAG),
    _send("DELETE", "/model-versions/delete-tag", P.MODELS_WRITE, _VERSION, _TAG_KEY, does=A.VERSION_UNTAG),
    _send("DELETE", "/model-versions/delete", P.MODELS_DELETE, _VERSION, does=A.VERSION_DELETE),
)

ARTIFACTS = (
    Route("GET", _FILES, "artifacts", P.ARTIFACTS_READ, fields=fields(_PATH, "page_token")),
    Route("GET", _FILES + "/{path:path}", "artifacts", P.ARTIFACTS_READ, action=A.ARTIFACT_DOWNLOAD),
    Route("HEAD", _FILES + "/{path:path}", "artifacts", P.ARTIFACTS_READ),
    Route("PUT", _FILES + "/{path:path}", "artifacts", P.ARTIFACTS_WRITE, Body.STREAM, action=A.ARTIFACT_UPLOAD),
    Route("DELETE", _FILES + "/{path:path}", "artifacts", P.ARTIFACTS_DELETE, action=A.ARTIFACT_DELETE),
    # Open only to answer that multipart uploads are not offered: clients then upload in one stream, and fail on a 404.
    Route("POST", _PARTS, "artifacts", P.ARTIFACTS_WRITE, Body.JSON, fields(), action=A.ARTIFACT_UPLOAD),
)


def _auth(
    method: str,
    path: str,
    permission: P | None,
    *,
    public: bool = False,
    does: A | None = None,
    about: tuple[Field, ...] = (),
    answers: tuple[Answer, ...] = (),
) -> Route:
    body = Body.JSON if method in {"POST", "PATCH"} else Body.NONE
    return Route(method, _V1 + path, "auth", permission, body, None, public, does, about, answers)


def _noted(*names: str) -> tuple[Field, ...]:
    return tuple(Field(name, noted=True) for name in names)


_NEW_KEY = _noted("name", "workspace", "user_id", "permissions", "expires", "expires_at", "allow_ips")
_KEY_MADE = (
    Answer("key_id", S.KEY),
    *(Answer(name) for name in ("name", "workspace", "user_id", "permissions", "expires_at")),
)
_NEW_WORKSPACE = fields(Field("name", names=S.WORKSPACE), _noted("quota", "protected_aliases"))


AUTH = (
    _auth("GET", "/keys", P.KEYS_READ, does=A.KEY_LIST, about=_noted("workspace", "created_by")),
    _auth("POST", "/keys", P.KEYS_WRITE, does=A.KEY_CREATE, about=_NEW_KEY, answers=_KEY_MADE),
    _auth("POST", "/keys/find", P.KEYS_READ, does=A.KEY_SHOW, answers=(Answer("key_id", S.KEY),)),
    _auth("GET", "/keys/self", None),
    _auth("POST", "/keys/validate", P.KEYS_VALIDATE),
    _auth("GET", "/keys/{key_id}", P.KEYS_READ, does=A.KEY_SHOW),
    _auth("DELETE", "/keys/{key_id}", P.KEYS_WRITE, does=A.KEY_REVOKE, answers=(Answer("workspace"),)),
    _auth(
        "POST",
        "/keys/{key_id}/rotate",
        P.KEYS_WRITE,
        does=A.KEY_ROTATE,
        about=_noted("overlap", "expires", "expires_at"),
        answers=_KEY_MADE,
    ),
    _auth("GET", "/workspaces", P.WORKSPACES_READ),
    _auth("POST", "/workspaces", P.WORKSPACES_WRITE, does=A.WORKSPACE_CREATE, about=_NEW_WORKSPACE),
    _auth("GET", "/workspaces/{workspace}", P.WORKSPACES_READ),
    _auth(
        "PATCH",
        "/workspaces/{workspace}",
        P.WORKSPACES_WRITE,
        does=A.WORKSPACE_UPDATE,
        about=_noted("quota", "protected_aliases"),
    ),
    _auth("DELETE", "/workspaces/{workspace}", P.WORKSPACES_WRITE, does=A.WORKSPACE_DELETE),
    _auth("POST", "/workspaces/{workspace}/suspend", P.WORKSPACES_WRITE, does=A.WORKSPACE_SUSPEND),
    _auth("POST", "/workspaces/{workspace}/resume", P.WORKSPACES_WRITE, does=A.WORKSPACE_RESUME),
    _auth("POST", "/usage/{key_id}", P.USAGE_WRITE),
    _auth("GET", "/usage/{key_id}/stats", P.USAGE_READ),
    # Answered by every server, about its own trail: a registry with a separate auth service has one, too.
    Route(
        "GET",
        _V1 + "/audit",
        "audit",
        P.KEYS_READ,
        fields=None,
        action=A.AUDIT_READ,
        about=_noted("workspace", "key", "user", "subject", "action", "since", "until"),
    ),
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

#: What a client asks about the server. MLflow's own answer would offer workspaces and multipart routes that are closed.
SERVER_INFO = (
    Route("GET", mlflow_api.SERVER_INFO, "home"),
    Route("GET", mlflow_api.TRACKING_PREFIX + "/version", "home", public=True),
)

TRACKING = EXPERIMENTS + RUNS + LOGGED_MODELS + MODELS
REGISTRY = TRACKING + ARTIFACTS + SERVER_INFO
ROUTES = PLATFORM + REGISTRY + AUTH
