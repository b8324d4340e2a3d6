"""The tenants: A attacks, B has objects worth stealing, and C shows what a rightful owner gets."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tests.attacks.case import FILES, V1, V2
from tests.attacks.target import Credentials, Target, Tenant, address
from tests.attacks.wire import Answer, Wire

ODD = "größe & 100% of it.txt"


@dataclass
class Planted:
    """A tenant with objects in it. ``marker`` occurs in all of them, and nobody else may read it."""

    tenant: Tenant
    marker: str
    words: dict[str, str]
    ids: Mapping[str, Sequence[str]]
    files: tuple[str, ...]


class Owner:
    """Requests of the rightful owner's, for planting and for reading back. ``credentials`` go with each."""

    def __init__(self, target: Target, credentials: Credentials) -> None:
        self._headers = [*credentials, ("Content-Type", "application/json")]
        self._wire = Wire(address(target), seconds=120)

    def __enter__(self) -> Owner:
        return self

    def __exit__(self, *_: object) -> None:
        self._wire.close()

    def ask(self, method: str, path: str, document: Any = None) -> dict[str, Any]:
        answer = self.raw(method, V2 + path, document)
        assert answer.status == 200, f"{method} {path}: {answer.status} {answer.body[:500]!r}"
        return dict(answer.json())

    def put(self, path: str, content: str) -> None:
        answer = self._wire.request("PUT", f"{FILES}/{quote(path)}", self._headers, content.encode())
        assert answer.status == 200, f"PUT {path}: {answer.status} {answer.body[:500]!r}"

    def raw(self, method: str, target: str, document: Any = None) -> Answer:
        body = json.dumps(document).encode() if document is not None else b""
        return self._wire.request(method, target, self._headers, body)


def plant(target: Target, letter: str) -> Planted:
    """A new workspace, with one of everything in it."""
    tag = secrets.token_hex(4)
    tenant = target.tenant(f"{letter}-{tag}")
    marker = f"{letter}marker{secrets.token_hex(12)}"
    with Owner(target, tenant.credentials["write"]) as owner:
        return _planted(owner, tenant, marker, f"{letter}{tag}")


def _planted(owner: Owner, tenant: Tenant, marker: str, tag: str) -> Planted:
    tags = [{"key": "secret", "value": marker}]
    experiment = owner.ask("POST", "/experiments/create", {"name": f"exp-{tag}", "tags": tags})["experiment_id"]
    created = {"experiment_id": experiment, "run_name": f"run-{marker}", "start_time": 1, "tags": tags}
    run = owner.ask("POST", "/runs/create", created)["run"]["info"]
    spare = owner.ask("POST", "/runs/create", {"experiment_id": experiment, "start_time": 2})["run"]["info"]
    batch = {
        "run_id": run["run_id"],
        "params": [{"key": "alpha", "value": marker}, {"key": f"p-{marker}", "value": "1"}],
        "metrics": [
            {"key": "loss", "value": 0.5, "timestamp": 1, "step": 0},
            {"key": f"m-{marker}", "value": 1.5, "timestamp": 1, "step": 0},
        ],
        "tags": tags,
    }
    owner.ask("POST", "/runs/log-batch", batch)
    root = _path(run["artifact_uri"])
    files = tuple(f"{root}/{name}" for name in ("model/MLmodel", "model/model.skops", ODD, f"{marker}.txt"))
    for file in files:
        owner.put(file, f"{file}: {marker}")
    model = _logged_model(owner, experiment, run["run_id"], marker)
    files += (_path(model["artifact_uri"]) + "/MLmodel",)
    owner.put(files[-1], f"logged model of {marker}")
    name, private = f"model-{tag}", f"private-{marker}"
    _registered(owner, name, run["run_id"], model["model_id"], marker)
    owner.ask("POST", "/registered-models/create", {"name": private, "description": marker})
    words = {
        "workspace": tenant.name,
        "experiment": experiment,
        "experiment_name": f"exp-{tag}",
        "run": run["run_id"],
        "spare": spare["run_id"],
        "model": model["model_id"],
        "registered": name,
        "version": "1",
        "alias": "best",
        "root": root,
        "file": files[0],
        "odd": quote(files[2]),
        "logged_root": _path(model["artifact_uri"]),
        "uri": run["artifact_uri"],
        "logged_uri": model["artifact_uri"],
    }
    ids = {
        "workspace": [tenant.name],
        "experiment": [experiment],
        "run": [run["run_id"], spare["run_id"]],
        "model": [model["model_id"]],
        "thing": [run["run_id"], spare["run_id"], model["model_id"]],
    }
    return Planted(tenant, marker, words | tenant.facts, ids, files)


def _logged_model(owner: Owner, experiment: str, run: str, marker: str) -> dict[str, Any]:
    body = {
        "experiment_id": experiment,
        "name": "logged",
        "source_run_id": run,
        "params": [{"key": "secret", "value": marker}],
        "tags": [{"key": "secret", "value": marker}],
    }
    model: dict[str, Any] = owner.ask("POST", "/logged-models", body)["model"]["info"]
    owner.ask("PATCH", f"/logged-models/{model['model_id']}", {"model_id": model["model_id"], "status": 2})
    return model


def _registered(owner: Owner, name: str, run: str, model: str, marker: str) -> None:
    tags = [{"key": "secret", "value": marker}]
    owner.ask("POST", "/registered-models/create", {"name": name, "description": marker, "tags": tags})
    first = {"name": name, "source": f"runs:/{run}/model", "run_id": run, "description": marker, "tags": tags}
    owner.ask("POST", "/model-versions/create", first)
    second = {"name": name, "source": f"models:/{model}", "model_id": model, "description": marker}
    owner.ask("POST", "/model-versions/create", second)
    owner.ask("POST", "/registered-models/alias", {"name": name, "alias": "best", "version": "1"})


def _path(uri: str) -> str:
    """The path in the artifact API of a URI such as ``mlflow-artifacts:/workspaces/…``."""
    return uri.partition(":")[2].lstrip("/")


NOBODY = {
    "workspace": "nobody-00000000",
    "experiment": "900000000",
    "experiment_name": "exp-nobody00",
    "run": "0123456789abcdef0123456789abcdef",
    "spare": "fedcba9876543210fedcba9876543210",
    "model": "m-0123456789abcdef0123456789abcdef",
    "registered": "model-nobody00",
    "version": "1",
    "alias": "best",
    "key_id": "key_0000000000000000",
    "read_key_id": "key_0000000000000001",
    "sleeping_key_id": "key_0000000000000002",
    "root": "workspaces/nobody-00000000/900000000/0123456789abcdef0123456789abcdef/artifacts",
}
NOBODY["file"] = NOBODY["root"] + "/model/MLmodel"
NOBODY["odd"] = quote(f"{NOBODY['root']}/{ODD}")
NOBODY["logged_root"] = f"workspaces/nobody-00000000/900000000/models/{NOBODY['model']}/artifacts"
NOBODY["uri"] = f"mlflow-artifacts:/{NOBODY['root']}"
NOBODY["logged_uri"] = f"mlflow-artifacts:/{NOBODY['logged_root']}"


def seen(target: Target, planted: Planted) -> dict[str, str]:
    """Everything the owner and the operator can see of a tenant, each part by digest."""
    words, found = planted.words, {}
    with Owner(target, planted.tenant.credentials["write"]) as owner:
        for name, method, path, document in _READS:
            filled = json.loads(_fill(json.dumps(document), words)) if document is not None else None
            found[name] = _shown(owner.raw(method, _fill(path, words), filled))
        for file in planted.files:
            found[f"file {file}"] = _shown(owner.raw("GET", f"{FILES}/{quote(file)}"))
        for directory in (words["root"], words["root"] + "/model", words["logged_root"]):
            found[f"listing {directory}"] = _listing(owner.raw("GET", f"{FILES}?path={quote(directory, safe='')}"))
    if target.kind == "hokusai":
        with Owner(target, target.operator()) as operator:
            found |= {path: _shown(operator.raw("GET", _fill(path, words))) for path in _FACTS}
    return found


_READS: tuple[tuple[str, str, str, Any], ...] = (
    ("experiments", "GET", f"{V2}/experiments/search?max_results=100&view_type=ALL", None),
    ("experiment", "GET", f"{V2}/experiments/get?experiment_id=[experiment]", None),
    ("runs", "POST", f"{V2}/runs/search", {"experiment_ids": ["[experiment]"], "run_view_type": "ALL"}),
    ("run", "GET", f"{V2}/runs/get?run_id=[run]", None),
    ("metrics", "GET", f"{V2}/metrics/get-history?run_id=[run]&metric_key=loss", None),
    ("logged model", "GET", f"{V2}/logged-models/[model]", None),
    ("logged models", "POST", f"{V2}/logged-models/search", {"experiment_ids": ["[experiment]"]}),
    ("registered models", "GET", f"{V2}/registered-models/search?max_results=100", None),
    ("registered model", "GET", f"{V2}/registered-models/get?name=[registered]", None),
    ("versions", "GET", f"{V2}/model-versions/search?max_results=100", None),
    ("alias", "GET", f"{V2}/registered-models/alias?name=[registered]&alias=best", None),
    ("source", "GET", f"{V2}/model-versions/get-download-uri?name=[registered]&version=1", None),
)

_FACTS = (
    f"{V1}/workspaces/[workspace]",
    f"{V1}/keys?workspace=[workspace]",
    f"{V1}/usage/[sleeping_key_id]/stats?hours=2",
)


def _fill(text: str, words: Mapping[str, str]) -> str:
    for name, value in words.items():
        text = text.replace(f"[{name}]", value)
    return text


def _shown(answer: Answer) -> str:
    return f"{answer.status} {hashlib.sha256(answer.body).hexdigest()[:16]}"


def _listing(answer: Answer) -> str:
    entries = answer.json().get("files", []) if answer.status == 200 else []
    return f"{answer.status} {json.dumps(sorted(entries, key=lambda one: str(one['path'])))}"
