"""Threats 9 and 16: webhooks, and routes that act on the host or the network."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.attacks.case import V2, V3, Case, Step, get, post

if TYPE_CHECKING:
    from tests.attacks.scene import Scene

_AJAX = "/ajax-api/3.0/mlflow"

#: Runs code, spends money or calls out: nothing that a tenant of a registry needs.
_ACTING = (
    post(f"{_AJAX}/assistant/message", {"message": "run `id`"}),
    post(f"{_AJAX}/assistant/sessions/x/cancel", {}),
    get(f"{_AJAX}/assistant/config"),
    post(f"{_AJAX}/assistant/config", {"projects": {}}),
    post(f"{_AJAX}/assistant/skills/install", {"path": "/tmp"}),
    post(f"{_AJAX}/jobs", {"job_name": "x", "params": {}}),
    get(f"{_AJAX}/jobs/x"),
    post(f"{_AJAX}/jobs/search", {}),
    post(f"{_AJAX}/jobs/cancel/x", {}),
    post("/ajax-api/2.0/mlflow/gateway-proxy", {"gateway_path": "http://<listener>/x", "json_data": {}}),
    get("/ajax-api/2.0/mlflow/gateway-proxy?gateway_path=http://<listener>/x"),
    post("/gateway/mlflow/v1/chat/completions", {"model": "x", "messages": []}),
    post("/gateway/x/mlflow/invocations", {}),
    post("/gateway/openai/v1/responses", {}),
    post(f"{V3}/gateway/secrets/create", {"secret_name": "x", "secret_value": {"api_key": "x"}, "provider": "openai"}),
    get(f"{V3}/gateway/secrets/list"),
    post(
        f"{V3}/gateway/model-definitions/create",
        {"name": "x", "secret_id": "x", "provider": "openai", "model_name": "x", "base_url": "http://<listener>/"},
    ),
    post(f"{V3}/gateway/endpoints/create", {"name": "x", "model_configs": []}),
    post(f"{_AJAX}/mcp/servers", {"url": "http://<listener>/"}),
    post("/mcp", {"jsonrpc": "2.0", "method": "tools/list", "id": 1}),
    get("/mcp"),
    post(f"{V3}/scorers/register", {"experiment_id": "<a.experiment>", "name": "x", "serialized_scorer": "{}"}),
    post(f"{_AJAX}/scorer/invoke", {"experiment_id": "<a.experiment>", "serialized_scorer": "{}", "trace_ids": []}),
    post(f"{V3}/prompt-optimization/jobs", {"experiment_id": "<a.experiment>"}),
    post("/ajax-api/2.0/mlflow/runs/create-promptlab-run", {"experiment_id": "<b.experiment>"}),
    post("/v1/traces", "x", ("Content-Type", "application/x-protobuf"), ("x-mlflow-experiment-id", "<b.experiment>")),
    post("/v1/metrics", "x", ("Content-Type", "application/x-protobuf")),
    post("/invocations", {"inputs": []}),
    get("/docs"),
    get("/openapi.json"),
    get("/redoc"),
    post("/signup", {"username": "x", "password": "y"}),
    post(f"{V2}/users/create", {"username": "mallory", "password": "mallory-mallory"}),
    get(f"{V2}/users/list"),
    get(f"{V3}/roles/list"),
    post(f"{V3}/roles/create", {"name": "x", "workspace": "<b.workspace>"}),
    post(f"{V3}/users/permissions/grant", {"username": "<a.workspace>-write", "resource_type": "workspace"}),
    get("/ajax-api/2.0/mlflow/upload-artifact"),
    post("/ajax-api/3.0/mlflow/demo/generate", {}),
    get("/console"),
    get("/debug/pprof"),
    get("/.env"),
    get("/.git/config"),
    get("/server-status"),
    get("/metrics"),
    get("/admin"),
    get("/api/v1/audit?workspace=<b.workspace>"),
    get("/api/v1/docs"),
)


def cases() -> Iterator[Case]:
    for step in _ACTING:
        for role in ("write", "admin"):
            name = f"surface {step.method} {step.target} as {role}"
            yield Case(name, 16, (step,), f"a.{role}", refused=0, allows=frozenset({501}))
    yield from _closed()
    yield from _webhooks()


def _closed() -> Iterator[Case]:
    """Every route of MLflow's that was reviewed and is not open, asked for about the victim's things."""
    from hokusai.gateway.route import closed
    from hokusai.gateway.table import ROUTES

    for method, path in sorted(closed() - {(route.method, route.path) for route in ROUTES}):
        target = path.replace("{}", "<b.run>")
        query = "?run_id=<b.run>&experiment_id=<b.experiment>&name=<b.registered>&request_id=<b.run>"
        step = Step(method, target + query, _BODY if method in {"POST", "PUT", "PATCH", "DELETE"} else "", _JSON)
        yield Case(f"closed {method} {path}", 16, (step,), "a.admin", refused=0, only="hokusai")


_BODY = '{"run_id": "<b.run>", "experiment_id": "<b.experiment>", "name": "<b.registered>"}'
_JSON = (("Content-Type", "application/json"),)

_URLS = (
    "http://<listener>/hook",
    "https://<listener>/hook",
    "http://169.254.169.254/latest/meta-data",
    "http://[::1]:22/",
    "http://0/",
    "http://127.1/",
    "http://2130706433/",
    "http://localhost:6379/",
    "file:<canary>",
    "gopher://<listener>/x",
    "http://x@<listener>/",
)


def _webhooks() -> Iterator[Case]:
    events = [{"entity": "MODEL_VERSION", "action": "CREATED"}, {"entity": "REGISTERED_MODEL", "action": "CREATED"}]
    for url in _URLS:
        body = {"name": "hook", "url": url, "events": events, "status": "ACTIVE"}
        create = post(f"{V2}/webhooks", body, keep=(("hook", "webhook/webhook_id"),))
        steps = (
            create,
            post(f"{V2}/webhooks/<kept.hook>/test", {}),
            post(f"{V2}/registered-models/create", {"name": "hooked-<a.workspace>"}),
        )
        yield Case(f"webhook to {url}", 9, steps, "a.admin")
    yield Case("the victim's events at the attacker's webhook", 9, play=_their_events)
    for step in (get(f"{V2}/webhooks"), get("/ajax-api/2.0/mlflow/webhooks"), get(f"{V2}/webhooks/x")):
        yield Case(f"webhooks {step.target}", 9, (step,), "a.admin")


def _their_events(scene: Scene) -> None:
    """A hook of A's hears of A's models alone, though B makes one first."""
    events = [{"entity": "REGISTERED_MODEL", "action": "CREATED"}]
    body = {"name": "hook", "url": "https://<listener>/hook", "events": events, "status": "ACTIVE"}
    warm = post(f"{V2}/registered-models/create", {"name": "warm-<b.workspace>"})
    scene.do(post(f"{V2}/webhooks", body), "a.admin")
    owner = scene.owner()
    scene.do(post(f"{V2}/registered-models/create", {"name": "warm-<a.workspace>"}), "a.admin")
    assert owner is scene.c
    scene.do(post(warm.target, {"name": "heard-<c.workspace>"}), "c.write")
    time.sleep(0.5)
    heard = "".join(scene.listener.callers)
    assert owner.tenant.name not in heard, "the victim's event reached the attacker's URL"
