"""A model of one tenant in plain Python, with which ``test_tenants`` compares the server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx2

MLFLOW = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
KEYS = "/api/v1/keys"


@dataclass
class Run:
    experiment: str
    deleted: bool = False
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Experiment:
    name: str
    deleted: bool = False
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class LoggedModel:
    experiment: str
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Model:
    tags: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    #: Each version with its tags.
    versions: dict[int, dict[str, str]] = field(default_factory=dict)
    #: The next version's number: those of deleted ones are not given out again.
    next: int = 1


@dataclass
class Key:
    secret: str
    permissions: str
    revoked: bool = False


@dataclass
class Tenant:
    """One workspace: a way to ask as it, and all that it must see."""

    name: str
    mark: str
    #: The other tenant's mark: in no answer to this one.
    hidden: str
    http: httpx2.Client
    keys: dict[str, Key] = field(default_factory=dict)
    experiments: dict[str, Experiment] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    logged_models: dict[str, LoggedModel] = field(default_factory=dict)
    models: dict[str, Model] = field(default_factory=dict)
    #: Old names of models, which nobody else gets, and the names of these models now.
    retired: dict[str, str | None] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def key(self, permissions: str, pick: int = 0) -> str:
        """One of the keys that carry a set of permissions and still work."""
        found = [key.secret for key in self.keys.values() if key.permissions == permissions and not key.revoked]
        return found[pick % len(found)]

    def ask(self, method: str, path: str, *, key: str = "read", pick: int = 0, **more: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.key(key, pick)}"}
        answer = self.http.request(method, path, headers=headers, **more)
        assert self.hidden not in answer.text, f"{method} {path} shows what is the other's"
        assert answer.status_code < 500, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    def change(self, method: str, path: str, body: dict[str, Any], *, key: str = "write", pick: int = 0) -> Any:
        """An operation on MLflow that must succeed."""
        answer = self.ask(method, MLFLOW + path, key=key, pick=pick, json=body)
        assert answer.status_code == 200, f"{method} {path} {body}: {answer.status_code} {answer.text}"
        return answer.json()

    def search(self, method: str, path: str, **fields: Any) -> Any:
        sent = {"params": fields} if method == "GET" else {"json": fields}
        answer = self.ask(method, MLFLOW + path, **sent)
        assert answer.status_code == 200, f"{method} {path} {fields}: {answer.status_code} {answer.text}"
        return answer.json()


def pairs(listed: Any) -> dict[str, str]:
    """MLflow's ``[{"key": …, "value": …}]``, without the tags that MLflow sets itself."""
    return {one["key"]: one["value"] for one in listed or [] if not one["key"].startswith("mlflow.")}


def sees_what_it_has(tenant: Tenant, other: Tenant) -> None:
    """Every search and list answers with exactly what the tenant has, the other's ids among those asked for or not."""
    experiments = sorted({*tenant.experiments, *other.experiments})
    found = tenant.search("POST", "/experiments/search", view_type="ALL", max_results=1000).get("experiments", [])
    assert {one["experiment_id"]: (one["name"], pairs(one.get("tags"))) for one in found} == {
        id_: (one.name, one.tags) for id_, one in tenant.experiments.items()
    }
    if experiments:
        found = tenant.search("POST", "/runs/search", experiment_ids=experiments, run_view_type="ALL").get("runs", [])
        assert {
            one["info"]["run_id"]: (pairs(one["data"].get("params")), pairs(one["data"].get("tags"))) for one in found
        } == {id_: (one.params, one.tags) for id_, one in tenant.runs.items()}
        found = tenant.search("POST", "/logged-models/search", experiment_ids=experiments).get("models", [])
        assert {one["info"]["model_id"]: pairs(one["info"].get("tags")) for one in found} == {
            id_: one.tags for id_, one in tenant.logged_models.items()
        }
    found = tenant.search("GET", "/registered-models/search", max_results=100).get("registered_models", [])
    assert {one["name"]: pairs(one.get("tags")) for one in found} == {
        name: one.tags for name, one in tenant.models.items()
    }
    found = tenant.search("GET", "/model-versions/search", max_results=100).get("model_versions", [])
    assert {(one["name"], int(one["version"])): pairs(one.get("tags")) for one in found} == {
        (name, version): tags for name, one in tenant.models.items() for version, tags in one.versions.items()
    }
    assert set(_walk(tenant, "")) == set(tenant.files)
    listed = tenant.ask("GET", KEYS, key="admin", params={"limit": 1000}).json()["keys"]
    assert {one["key_id"]: one["state"] == "revoked" for one in listed} == {
        id_: key.revoked for id_, key in tenant.keys.items()
    }


def _walk(tenant: Tenant, directory: str) -> list[str]:
    answer = tenant.ask("GET", FILES, params={"path": directory})
    assert answer.status_code == 200, answer.text
    found: list[str] = []
    for one in answer.json()["files"]:
        path = f"{directory}/{one['path']}".lstrip("/")
        found += _walk(tenant, path) if one["is_dir"] else [path]
    return found
