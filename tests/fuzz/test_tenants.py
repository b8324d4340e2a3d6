"""Two tenants on one server act at random, with the same names; neither ever sees the other."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import httpx2
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.fuzz.bounds import bounds
from tests.fuzz.tenant import (
    FILES,
    KEYS,
    MLFLOW,
    Experiment,
    Key,
    LoggedModel,
    Model,
    Run,
    Tenant,
    sees_what_it_has,
)
from tests.serving import Server, serving

#: The same few for both, so that they meet.
NAMES = ["iris", "größe", "a b"]
PATHS = ["a.txt", "d/a.txt", "d/e/größe.bin", "1/models/x"]
TENANT = st.sampled_from([0, 1])
PICK = st.integers(0, 9)
NAME = st.sampled_from(NAMES)
SHARED = st.sampled_from(["k", "größe"])


class Walls(RuleBasedStateMachine):
    """Each rule is something that one tenant may do. ``pick`` chooses among what it has."""

    server: ClassVar[Server]

    def __init__(self) -> None:
        super().__init__()
        self.tenants: list[Tenant] = []
        self.touched: list[Callable[[Tenant], None]] = []
        self.counter = 0

    @initialize()
    def two_workspaces(self) -> None:
        marks = [f"mark-{secrets.token_hex(8)}" for _ in range(2)]
        for mark, hidden in (marks, marks[::-1]):
            name = f"team-{secrets.token_hex(6)}"
            http = httpx2.Client(base_url=self.server.url, timeout=30, trust_env=False)
            tenant = Tenant(name, mark, hidden, http)
            admin = self.server.workspace(name, permissions=["admin"])
            tenant.keys[admin.key_id] = Key(admin.key, "admin")
            self.tenants.append(tenant)
            for permissions in ("read", "write"):
                self._new_key(tenant, permissions)
        for number in range(2):
            self._one_of_each(number)

    def _one_of_each(self, tenant: int) -> None:
        """To begin with, so that few steps are for nothing."""
        for name in NAMES[:2]:
            self.create_experiment(tenant, name, 0)
            self.create_model(tenant, name, 0)
        self.create_run(tenant, 0)
        self.create_logged_model(tenant, 0, "iris")
        self.create_version(tenant, 0, 0)
        self.set_alias(tenant, 0, "best")
        for path in PATHS[:2]:
            self.put_artifact(tenant, 0, path, own=False)
        self.write_with_a_read_key(tenant, NAMES[2], 0)
        self.rotate_key(tenant, 1)
        self.use_a_revoked_key(tenant, 0)

    def teardown(self) -> None:
        try:
            for tenant in self.tenants:
                self._everything(tenant)
        finally:
            for tenant in self.tenants:
                tenant.http.close()

    # Experiments and runs

    @rule(tenant=TENANT, name=NAME, pick=PICK)
    def create_experiment(self, tenant: int, name: str, pick: int) -> None:
        team = self.tenants[tenant]
        if any(one.name == name for one in team.experiments.values()):
            return
        made = team.change("POST", "/experiments/create", {"name": name, "tags": self._tags(team)}, pick=pick)
        team.experiments[made["experiment_id"]] = Experiment(name, tags={"mark": team.mark})
        self._look(self._experiment, made["experiment_id"])

    @rule(tenant=TENANT, pick=PICK, key=SHARED)
    def tag_experiment(self, tenant: int, pick: int, key: str) -> None:
        team = self.tenants[tenant]
        if id_ := _one(team.experiments, pick, lambda one: not one.deleted):
            value = self._value(team)
            body = {"experiment_id": id_, "key": key, "value": value}
            team.change("POST", "/experiments/set-experiment-tag", body, pick=pick)
            team.experiments[id_].tags[key] = value
            self._look(self._experiment, id_)

    @rule(tenant=TENANT, pick=PICK, back=st.booleans())
    def delete_or_restore_experiment(self, tenant: int, pick: int, back: bool) -> None:
        team = self.tenants[tenant]
        if id_ := _one(team.experiments, pick, lambda one: one.deleted == back):
            team.change("POST", "/experiments/" + ("restore" if back else "delete"), {"experiment_id": id_})
            team.experiments[id_].deleted = not back
            for run in team.runs.values():
                if run.experiment == id_:
                    run.deleted = not back
            self._look(self._experiment, id_)

    @rule(tenant=TENANT, pick=PICK)
    def create_run(self, tenant: int, pick: int) -> None:
        team = self.tenants[tenant]
        if experiment := _one(team.experiments, pick, lambda one: not one.deleted):
            body = {"experiment_id": experiment, "start_time": 1, "tags": self._tags(team)}
            id_ = team.change("POST", "/runs/create", body, pick=pick)["run"]["info"]["run_id"]
            team.runs[id_] = Run(experiment, tags={"mark": team.mark})
            self._look(self._run, id_)

    @rule(tenant=TENANT, pick=PICK, key=SHARED)
    def log_to_run(self, tenant: int, pick: int, key: str) -> None:
        team = self.tenants[tenant]
        if id_ := self._active_run(team, pick):
            run, value = team.runs[id_], self._value(team)
            if key not in run.params:
                team.change("POST", "/runs/log-parameter", {"run_id": id_, "key": key, "value": value}, pick=pick)
                run.params[key] = value
            else:
                team.change("POST", "/runs/set-tag", {"run_id": id_, "key": key, "value": value}, pick=pick)
                run.tags[key] = value
            self._look(self._run, id_)

    @rule(tenant=TENANT, pick=PICK, back=st.booleans())
    def delete_or_restore_run(self, tenant: int, pick: int, back: bool) -> None:
        team = self.tenants[tenant]
        alive = {id_ for id_, one in team.experiments.items() if not one.deleted}
        if id_ := _one(team.runs, pick, lambda one: one.deleted == back and one.experiment in alive):
            team.change("POST", "/runs/" + ("restore" if back else "delete"), {"run_id": id_}, pick=pick)
            team.runs[id_].deleted = not back
            self._look(self._run, id_)

    # Logged models

    @rule(tenant=TENANT, pick=PICK, name=st.sampled_from(["iris", "other"]))
    def create_logged_model(self, tenant: int, pick: int, name: str) -> None:
        team = self.tenants[tenant]
        if experiment := _one(team.experiments, pick, lambda one: not one.deleted):
            body = {"experiment_id": experiment, "name": name, "tags": self._tags(team)}
            id_ = team.change("POST", "/logged-models", body, pick=pick)["model"]["info"]["model_id"]
            team.logged_models[id_] = LoggedModel(experiment, tags={"mark": team.mark})
            self._look(self._logged_model, id_)

    @rule(tenant=TENANT, pick=PICK, key=SHARED)
    def tag_logged_model(self, tenant: int, pick: int, key: str) -> None:
        team = self.tenants[tenant]
        if id_ := self._active_logged_model(team, pick):
            value = self._value(team)
            team.change("PATCH", f"/logged-models/{id_}/tags", {"tags": [{"key": key, "value": value}]}, pick=pick)
            team.logged_models[id_].tags[key] = value
            self._look(self._logged_model, id_)

    @rule(tenant=TENANT, pick=PICK)
    def delete_logged_model(self, tenant: int, pick: int) -> None:
        team = self.tenants[tenant]
        if id_ := self._active_logged_model(team, pick):
            team.change("DELETE", f"/logged-models/{id_}", {}, pick=pick)
            del team.logged_models[id_]
            self._look(self._logged_model, id_)

    # The registry

    @rule(tenant=TENANT, name=NAME, pick=PICK)
    def create_model(self, tenant: int, name: str, pick: int) -> None:
        team = self.tenants[tenant]
        body = {"name": name, "tags": self._tags(team), "description": team.mark}
        if name in team.retired:
            answer = team.ask("POST", MLFLOW + "/registered-models/create", key="write", pick=pick, json=body)
            assert answer.status_code == 409, answer.text
        elif name not in team.models:
            team.change("POST", "/registered-models/create", body, pick=pick)
            team.models[name] = Model(tags={"mark": team.mark})
        self._look(self._model, name)

    @rule(tenant=TENANT, pick=PICK, to=NAME)
    def rename_model(self, tenant: int, pick: int, to: str) -> None:
        team = self.tenants[tenant]
        name = _one(team.models, pick)
        if name and to not in team.models and team.retired.get(to, name) == name:
            team.change("POST", "/registered-models/rename", {"name": name, "new_name": to}, pick=pick)
            team.models[to] = team.models.pop(name)
            team.retired = {old: to if now == name else now for old, now in team.retired.items() if old != to}
            team.retired[name] = to
            self._look(self._model, name)
            self._look(self._model, to)

    @rule(tenant=TENANT, pick=PICK)
    def delete_model(self, tenant: int, pick: int) -> None:
        team = self.tenants[tenant]
        if name := _one(team.models, pick):
            team.change("DELETE", "/registered-models/delete", {"name": name}, key="admin")
            del team.models[name]
            team.retired = {old: None if now == name else now for old, now in team.retired.items()}
            self._look(self._model, name)

    @rule(tenant=TENANT, pick=PICK, form=st.integers(0, 3))
    def create_version(self, tenant: int, pick: int, form: int) -> None:
        team = self.tenants[tenant]
        name, source = _one(team.models, pick), self._source(team, pick, form)
        if name and source:
            model = team.models[name]
            body = {"name": name, "source": source, "tags": self._tags(team)}
            made = team.change("POST", "/model-versions/create", body, pick=pick)["model_version"]
            assert int(made["version"]) == model.next
            model.versions[model.next] = {"mark": team.mark}
            model.next += 1
            self._look(self._version, (name, model.next - 1))

    @rule(tenant=TENANT, pick=PICK, key=SHARED)
    def tag_version(self, tenant: int, pick: int, key: str) -> None:
        team = self.tenants[tenant]
        if found := _one(_versions(team), pick):
            value = self._value(team)
            body = {"name": found[0], "version": str(found[1]), "key": key, "value": value}
            team.change("POST", "/model-versions/set-tag", body, pick=pick)
            team.models[found[0]].versions[found[1]][key] = value
            self._look(self._version, found)

    @rule(tenant=TENANT, pick=PICK)
    def delete_version(self, tenant: int, pick: int) -> None:
        team = self.tenants[tenant]
        if found := _one(_versions(team), pick):
            body = {"name": found[0], "version": str(found[1])}
            team.change("DELETE", "/model-versions/delete", body, key="admin")
            model = team.models[found[0]]
            del model.versions[found[1]]
            model.aliases = {alias: version for alias, version in model.aliases.items() if version != found[1]}
            self._look(self._version, found)

    @rule(tenant=TENANT, pick=PICK, alias=st.sampled_from(["best", "worst"]))
    def set_alias(self, tenant: int, pick: int, alias: str) -> None:
        team = self.tenants[tenant]
        if found := _one(_versions(team), pick):
            body = {"name": found[0], "version": str(found[1]), "alias": alias}
            team.change("POST", "/registered-models/alias", body, pick=pick)
            team.models[found[0]].aliases[alias] = found[1]
            self._look(self._alias, (found[0], alias))

    @rule(tenant=TENANT, pick=PICK)
    def delete_alias(self, tenant: int, pick: int) -> None:
        team = self.tenants[tenant]
        aliases = {(name, alias): None for name, model in team.models.items() for alias in model.aliases}
        if found := _one(aliases, pick):
            team.change("DELETE", "/registered-models/alias", {"name": found[0], "alias": found[1]}, pick=pick)
            del team.models[found[0]].aliases[found[1]]
            self._look(self._alias, found)

    # Artifacts

    @rule(tenant=TENANT, pick=PICK, path=st.sampled_from(PATHS), own=st.booleans())
    def put_artifact(self, tenant: int, pick: int, path: str, own: bool) -> None:
        """Also into a run's directory, and under the workspace's own prefix."""
        team = self.tenants[tenant]
        if run := self._active_run(team, pick):
            path = f"{team.runs[run].experiment}/{run}/artifacts/{path}"
        content = f"{team.mark} {self._value(team)}".encode()
        named = f"workspaces/{team.name}/{path}" if own else path
        answer = team.ask("PUT", f"{FILES}/{named}", key="write", pick=pick, content=content)
        assert answer.status_code == 200, answer.text
        team.files[path] = content
        self._look(self._artifact, path)

    @rule(tenant=TENANT, pick=PICK)
    def delete_artifact(self, tenant: int, pick: int) -> None:
        team = self.tenants[tenant]
        if path := _one(team.files, pick):
            answer = team.ask("DELETE", f"{FILES}/{path}", key="admin")
            assert answer.status_code == 200, answer.text
            del team.files[path]
            self._look(self._artifact, path)

    # Keys

    @rule(tenant=TENANT, permissions=st.sampled_from(["read", "write", "admin"]))
    def create_key(self, tenant: int, permissions: str) -> None:
        self._new_key(self.tenants[tenant], permissions)

    @rule(tenant=TENANT, pick=PICK)
    def rotate_key(self, tenant: int, pick: int) -> None:
        team = self.tenants[tenant]
        if id_ := _one(team.keys, pick, lambda one: not one.revoked):
            old = team.keys[id_]
            answer = team.ask("POST", f"{KEYS}/{id_}/rotate", key="admin", json={"overlap": "0s"})
            assert answer.status_code == 201, answer.text
            old.revoked = True
            team.keys[answer.json()["key_id"]] = Key(answer.json()["key"], old.permissions)
            self._look(self._key, id_)

    @rule(tenant=TENANT, pick=PICK)
    def revoke_key(self, tenant: int, pick: int) -> None:
        """Never the last one of its kind."""
        team = self.tenants[tenant]
        alive = [one.permissions for one in team.keys.values() if not one.revoked]
        if id_ := _one(team.keys, pick, lambda one: not one.revoked and alive.count(one.permissions) > 1):
            answer = team.ask("DELETE", f"{KEYS}/{id_}", key="admin")
            assert answer.status_code == 200, answer.text
            team.keys[id_].revoked = True
            self._look(self._key, id_)

    # What a key does not open

    @precondition(lambda self: any(key.revoked for tenant in self.tenants for key in tenant.keys.values()))
    @rule(tenant=TENANT, pick=PICK)
    def use_a_revoked_key(self, tenant: int, pick: int) -> None:
        team = self.tenants[tenant]
        if id_ := _one(team.keys, pick, lambda one: one.revoked):
            headers = {"X-API-Key": team.keys[id_].secret}
            answer = team.http.get(f"{MLFLOW}/registered-models/search", headers=headers)
            assert (answer.status_code, answer.json()["hokusai"]["code"]) == (401, "HK1105"), answer.text

    @rule(tenant=TENANT, name=NAME, pick=PICK)
    def write_with_a_read_key(self, tenant: int, name: str, pick: int) -> None:
        team = self.tenants[tenant]
        answer = team.ask("POST", f"{MLFLOW}/registered-models/create", pick=pick, json={"name": name})
        assert (answer.status_code, answer.json()["hokusai"]["code"]) == (403, "HK1201"), answer.text

    @rule(tenant=TENANT, pick=PICK)
    def change_what_is_the_others(self, tenant: int, pick: int) -> None:
        """Answered as if it did not exist; that nothing happened, the invariant sees."""
        team, other = self.tenants[tenant], self.tenants[1 - tenant]
        run, logged = _one(other.runs, pick), _one(other.logged_models, pick)
        experiment, key = _one(other.experiments, pick), _one(other.keys, pick)
        value = self._value(team)
        attempts: list[tuple[str | None, str, str, dict[str, Any] | None]] = [
            (run, "POST", f"{MLFLOW}/runs/set-tag", {"run_id": "ID", "key": "k", "value": value}),
            (run, "POST", f"{MLFLOW}/runs/log-parameter", {"run_id": "ID", "key": "new", "value": value}),
            (run, "POST", f"{MLFLOW}/runs/delete", {"run_id": "ID"}),
            (experiment, "POST", f"{MLFLOW}/experiments/delete", {"experiment_id": "ID"}),
            (experiment, "POST", f"{MLFLOW}/runs/create", {"experiment_id": "ID", "start_time": 1}),
            (experiment, "POST", f"{MLFLOW}/logged-models", {"experiment_id": "ID", "name": "x"}),
            (logged, "PATCH", f"{MLFLOW}/logged-models/ID/tags", {"tags": [{"key": "k", "value": value}]}),
            (logged, "DELETE", f"{MLFLOW}/logged-models/ID", {}),
            (key, "DELETE", f"{KEYS}/ID", None),
            (key, "POST", f"{KEYS}/ID/rotate", {}),
        ]
        for id_, method, path, body in attempts:
            if id_:
                self._same(team, id_, _unknown(id_), method, path, body, key="admin")

    # What must be so after each step

    @invariant()
    def each_sees_its_own(self) -> None:
        if self.tenants:
            one, other = self.tenants
            sees_what_it_has(one, other)
            sees_what_it_has(other, one)
            for look in self.touched:
                look(one)
                look(other)
            self.touched.clear()

    def _everything(self, tenant: Tenant) -> None:
        """Each thing of either tenant, by its id."""
        for one in self.tenants:
            for id_ in one.experiments:
                self._experiment(tenant, id_)
            for id_ in one.runs:
                self._run(tenant, id_)
            for id_ in one.logged_models:
                self._logged_model(tenant, id_)
            for found in _versions(one):
                self._version(tenant, found)
            for path in one.files:
                self._artifact(tenant, path)
            for id_ in one.keys:
                self._key(tenant, id_)
        for name in NAMES:
            self._model(tenant, name)

    def _look(self, at: Callable[[Tenant, Any], None], what: Any) -> None:
        self.touched.append(lambda tenant: at(tenant, what))

    # One thing by its id: as it is, or as if it did not exist

    def _experiment(self, tenant: Tenant, id_: str) -> None:
        self._get(tenant, f"{MLFLOW}/experiments/get?experiment_id=ID", id_, known=id_ in tenant.experiments)

    def _run(self, tenant: Tenant, id_: str) -> None:
        known = id_ in tenant.runs
        self._get(tenant, f"{MLFLOW}/runs/get?run_id=ID", id_, known=known)
        self._get(tenant, f"{MLFLOW}/metrics/get-history?run_id=ID&metric_key=x", id_, known=known)

    def _logged_model(self, tenant: Tenant, id_: str) -> None:
        self._get(tenant, f"{MLFLOW}/logged-models/ID", id_, known=id_ in tenant.logged_models)

    def _model(self, tenant: Tenant, name: str) -> None:
        self._get(tenant, f"{MLFLOW}/registered-models/get?name=ID", name, known=name in tenant.models)

    def _version(self, tenant: Tenant, found: tuple[str, int]) -> None:
        name, version = found
        model = tenant.models.get(name)
        if model is None:
            self._get(tenant, f"{MLFLOW}/model-versions/get?name=ID&version={version}", name, known=False)
            return
        for route in ("get", "get-download-uri"):
            answer = tenant.ask("GET", f"{MLFLOW}/model-versions/{route}", params={"name": name, "version": version})
            assert answer.status_code == (200 if version in model.versions else 404), answer.text

    def _alias(self, tenant: Tenant, found: tuple[str, str]) -> None:
        name, alias = found
        answer = tenant.ask("GET", f"{MLFLOW}/registered-models/alias", params={"name": name, "alias": alias})
        version = tenant.models[name].aliases.get(alias) if name in tenant.models else None
        if version is None:
            assert answer.status_code in {400, 404}, answer.text
        else:
            assert int(answer.json()["model_version"]["version"]) == version

    def _artifact(self, tenant: Tenant, path: str) -> None:
        self._get(tenant, f"{FILES}/ID", path, known=path in tenant.files)
        if path in tenant.files:
            assert tenant.ask("GET", f"{FILES}/{path}").content == tenant.files[path]
        other = next(one for one in self.tenants if one is not tenant)
        self._same(tenant, other.name, "nobody-has-this", "GET", f"{FILES}/workspaces/ID/{path}", None)

    def _key(self, tenant: Tenant, id_: str) -> None:
        self._get(tenant, f"{KEYS}/ID", id_, known=id_ in tenant.keys, key="admin")

    def _get(self, tenant: Tenant, path: str, id_: str, *, known: bool, key: str = "read") -> None:
        if known:
            answer = tenant.ask("GET", path.replace("ID", id_), key=key)
            assert answer.status_code == 200, f"{tenant.name} lost {path} {id_}: {answer.text}"
        else:
            self._same(tenant, id_, _unknown(id_), "GET", path, None, key=key)

    def _same(
        self,
        tenant: Tenant,
        id_: str,
        unknown: str,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        *,
        key: str = "read",
    ) -> None:
        """The answer for an id that is the other's is the one for an id that nobody has."""
        seen = []
        for one in (id_, unknown):
            filled = {name: one if value == "ID" else value for name, value in (body or {}).items()}
            sent = {} if body is None else {"json": filled}
            answer = tenant.ask(method, path.replace("ID", one), key=key, **sent)
            assert answer.status_code == 404, f"{method} {path} {one}: {answer.status_code} {answer.text}"
            text = answer.text.replace(answer.headers["x-request-id"], "REQUEST")
            text = re.sub(rf"(?<!\w){re.escape(one)}(?!\w)", "ID", text)
            names = [(name, "" if name in _VARYING else value) for name, value in sorted(answer.headers.items())]
            seen.append((answer.status_code, text, names))
        assert seen[0] == seen[1]

    # What the rules share

    def _new_key(self, tenant: Tenant, permissions: str) -> None:
        body = {"name": tenant.mark, "permissions": [permissions]}
        answer = tenant.ask("POST", KEYS, key="admin", json=body)
        assert answer.status_code == 201, answer.text
        assert answer.json()["workspace"] == tenant.name
        tenant.keys[answer.json()["key_id"]] = Key(answer.json()["key"], permissions)
        self._look(self._key, answer.json()["key_id"])

    def _tags(self, tenant: Tenant) -> list[dict[str, str]]:
        return [{"key": "mark", "value": tenant.mark}]

    def _value(self, tenant: Tenant) -> str:
        self.counter += 1
        return f"{tenant.mark} {self.counter}"

    def _active_run(self, tenant: Tenant, pick: int) -> str | None:
        return _one(tenant.runs, pick, lambda one: not one.deleted)

    def _active_logged_model(self, tenant: Tenant, pick: int) -> str | None:
        alive = {id_ for id_, one in tenant.experiments.items() if not one.deleted}
        return _one(tenant.logged_models, pick, lambda one: one.experiment in alive)

    def _source(self, tenant: Tenant, pick: int, form: int) -> str | None:
        """What a version may come from: a run, a logged model, files of a run, another version."""
        if form == 0:
            run = self._active_run(tenant, pick)
            return f"runs:/{run}/model" if run else None
        if form == 1:
            logged = self._active_logged_model(tenant, pick)
            return f"models:/{logged}" if logged else None
        if form == 2:
            run = self._active_run(tenant, pick)
            root = f"mlflow-artifacts:/workspaces/{tenant.name}/{tenant.runs[run].experiment}/{run}" if run else ""
            return f"{root}/artifacts/model" if run else None
        found = _one(_versions(tenant), pick)
        return f"models:/{found[0]}/{found[1]}" if found else None


#: Headers whose value differs from answer to answer, or with the length of an id.
_VARYING = {"date", "x-request-id", "content-length"}


def _one(things: dict[Any, Any], pick: int, fits: Callable[[Any], bool] = lambda _one: True) -> Any:
    found = [id_ for id_, one in things.items() if fits(one)]
    return found[pick % len(found)] if found else None


def _versions(tenant: Tenant) -> dict[tuple[str, int], None]:
    return {(name, version): None for name, model in tenant.models.items() for version in model.versions}


def _unknown(id_: str) -> str:
    """An id of the same form that nobody has."""
    if id_.startswith("m-"):
        return "m-" + secrets.token_hex(16)
    if id_.startswith("key_"):
        return "key_" + secrets.token_hex(8)
    if id_.isdigit():
        return str(10**9 + secrets.randbelow(10**9))
    return secrets.token_hex(16) if len(id_) == 32 else "nobody-has-this-" + secrets.token_hex(4)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    rates = {"HOKUSAI_ADDRESS_RATE": "1000000000/second", "HOKUSAI_KEY_RATE": "1000000000/second"}
    more = {"HOKUSAI_WORKSPACE_RATE": "1000000000/second", "HOKUSAI_GUESS_RATE": "1000000000/second"}
    with serving(tmp_path_factory.mktemp("tenants") / "data", settings={**rates, **more}) as running:
        yield running
        assert not [line for line in running.errors if "Traceback" in line or " ERROR " in line]


@pytest.mark.timeout(3600)
def test_two_tenants_never_meet(server: Server) -> None:
    class Here(Walls):
        pass

    Here.server = server
    run_state_machine_as_test(Here, settings=bounds(3, long=10, steps=15))
