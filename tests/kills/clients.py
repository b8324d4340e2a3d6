"""Clients that change things, each its own, and write down what they were told."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tests.kills.journal import Cell, Change, Journal, Value

MLFLOW = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
#: Refusals of changes of files after which nothing has changed, as docs/architecture.md promises.
_UNKNOWN_OUTCOME = {"HK5006", "HK9001"}
_TIMEOUT = 30


class Gate:
    """Clients send only while it is open; ``close`` waits until none has a request in progress."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open = False
        self._inside = 0
        self.ended = False

    @contextlib.contextmanager
    def inside(self) -> Iterator[bool]:
        with self._changed:
            self._changed.wait_for(lambda: self._open or self.ended)
            self._inside += not self.ended
            ended = self.ended
        try:
            yield not ended
        finally:
            with self._changed:
                self._inside -= not ended
                self._changed.notify_all()

    def open(self) -> None:
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def close(self, seconds: float = _TIMEOUT) -> None:
        with self._changed:
            self._open = False
            assert self._changed.wait_for(lambda: not self._inside, seconds), "a client does not end its request"

    def end(self) -> None:
        with self._changed:
            self.ended = True
            self._changed.notify_all()


class Connection:
    """HTTP with one key, as simple as it gets."""

    def __init__(self, port: int, key: str) -> None:
        self._key = key
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)

    def close(self) -> None:
        self._http.close()

    def connect(self) -> None:
        """Raises ``OSError`` where nobody listens: then nothing was asked."""
        if self._http.sock is None:
            self._http.connect()

    def ask(
        self, method: str, path: str, body: Any = None, *, agent: str = "kills"
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Raises ``OSError`` or ``http.client.HTTPException`` where there is no answer."""
        headers = {"Authorization": f"Bearer {self._key}", "User-Agent": agent}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        try:
            self._http.request(method, path, body=body, headers=headers)
            with self._http.getresponse() as answer:
                return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        except (OSError, http.client.HTTPException):
            self._http.close()
            raise


Learn = Callable[[Change, dict[str, Any]], Mapping[Cell, Value]]


class Client(threading.Thread):
    """Does what ``_deeds`` yields, at random, until the gate ends."""

    def __init__(self, name: str, port: int, key: str, workspace: str, journal: Journal, gate: Gate, seed: str) -> None:
        super().__init__(name=name, daemon=True)
        self.workspace = workspace
        self.journal = journal
        self.random = random.Random(f"{seed} {name}")
        self._gate = gate
        self._connection = Connection(port, key)
        self._count = 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        deeds, weights = zip(*self._deeds(), strict=True)
        try:
            while True:
                with self._gate.inside() as goes_on:
                    if not goes_on:
                        return
                    self.random.choices(deeds, weights)[0]()
                time.sleep(0.002)
        except Exception as error:
            self.failure = error
        finally:
            self._connection.close()

    def _deeds(self) -> Sequence[tuple[Callable[[], None], int]]:
        raise NotImplementedError

    def _new(self, what: str) -> str:
        self._count += 1
        return f"{what}-{self.name}-{self._count}"

    def _change(
        self,
        action: str,
        subject: str | None,
        method: str,
        path: str,
        body: Any,
        cells: Mapping[Cell, Value],
        *,
        learn: Learn | None = None,
        may_be_partial: bool = False,
        workspace: str | None = None,
    ) -> Change | None:
        """None where nobody listened."""
        change = self.journal.begin(
            action, workspace or self.workspace, cells, subject=subject, path=path, may_be_partial=may_be_partial
        )
        try:
            self._connection.connect()
        except OSError:
            time.sleep(0.01)
            return None
        self.journal.sent(change)
        try:
            change.status, headers, answer = self._connection.ask(method, path, body, agent=change.agent)
        except (OSError, http.client.HTTPException):
            self.journal.end(change, "unanswered")
            return change
        self._note(change, headers, answer, learn)
        return change

    def _note(self, change: Change, headers: Mapping[str, str], answer: bytes, learn: Learn | None) -> None:
        change.request_id = headers.get("x-request-id")
        change.code = headers.get("x-hokusai-code") or _code(change.status, answer)
        if change.status < 300:
            self.journal.end(change, "acknowledged")
            if learn:
                self.journal.add(change, learn(change, json.loads(answer)))
        elif change.status < 500 or (change.action.startswith("artifact.") and change.code not in _UNKNOWN_OUTCOME):
            self.journal.end(change, "refused")
        else:
            self.journal.end(change, "unanswered")
            time.sleep(0.02)


def _code(status: int, answer: bytes) -> str | None:
    if status < 400:
        return None
    with contextlib.suppress(ValueError, TypeError, KeyError):
        found: str = json.loads(answer)["hokusai"]["code"]
        return found
    return None


class Tenant(Client):
    """Files, runs and models of one workspace, below names of its own."""

    def __init__(self, *args: Any, experiment: str, on_bucket: bool, **names: Any) -> None:
        super().__init__(*args, **names)
        self._experiment = experiment
        self._on_bucket = on_bucket
        self._runs: list[str] = []
        self._models = 0
        self._versions: dict[str, list[tuple[str, int]]] = {}

    def _deeds(self) -> Sequence[tuple[Callable[[], None], int]]:
        return (
            *((self._put_small, 24), (self._put_large, 4), (self._delete_file, 7), (self._delete_directory, 4)),
            *((self._create_run, 4), (self._log_metric, 10), (self._log_batch, 6), (self._set_tag, 8)),
            *((self._delete_tag, 2), (self._delete_run, 1), (self._create_model, 4), (self._create_version, 8)),
            *((self._set_alias, 6), (self._delete_alias, 2), (self._tag_model, 4), (self._tag_version, 4)),
            *((self._rename_model, 3), (self._delete_version, 2), (self._delete_model, 2)),
        )

    def _file(self) -> str:
        number = self.random.randrange(4)
        deep = self.random.choice(["", "a/", "a/b/"])
        return f"{self._experiment}/{self.name}/artifacts/d{number}/{deep}f{self.random.randrange(4)}"

    def _put(self, size: int) -> None:
        path = self._file()
        content = self.random.randbytes(size)
        cells = {("file", self.workspace, path): hashlib.sha256(content).hexdigest()}
        self._change("artifact.upload", path, "PUT", f"{FILES}/{path}", content, cells)

    def _put_small(self) -> None:
        self._put(self.random.randrange(1, 9000))

    def _put_large(self) -> None:
        self._put(self.random.randrange(1 << 20, 7 << 20))

    def _delete_file(self) -> None:
        path = self._file()
        cells: dict[Cell, Value] = {("file", self.workspace, path): None}
        self._change("artifact.delete", path, "DELETE", f"{FILES}/{path}", None, cells)

    def _delete_directory(self) -> None:
        path = self._file().rpartition("/")[0]
        there = [
            cell
            for cell, values in list(self.journal.cells.items())
            if cell[:2] == ("file", self.workspace) and cell[2].startswith(path + "/") and values != {None}
        ]
        cells: dict[Cell, Value] = dict.fromkeys(there)
        if there:
            self._change(
                "artifact.delete", path, "DELETE", f"{FILES}/{path}", None, cells, may_be_partial=self._on_bucket
            )

    def _mlflow(self, action: str, subject: str | None, path: str, cells: Mapping[Cell, Value], **body: Any) -> Any:
        method = body.pop("method", "POST")
        learn, partly = body.pop("learn", None), body.pop("may_be_partial", False)
        return self._change(action, subject, method, MLFLOW + path, body, cells, learn=learn, may_be_partial=partly)

    def _create_run(self) -> None:
        name = self._new("run")

        def learn(change: Change, answer: dict[str, Any]) -> Mapping[Cell, Value]:
            change.subject = answer["run"]["info"]["run_id"]
            self._runs.append(change.subject or "")
            return {("life", change.subject or ""): "active"}

        cells = {("run", name): 1}
        body = {"experiment_id": self._experiment, "run_name": name, "start_time": 1}
        self._mlflow("run.create", None, "/runs/create", cells, learn=learn, **body)

    def _run(self) -> str | None:
        return self.random.choice(self._runs[-3:]) if self._runs else None

    def _log_metric(self) -> None:
        if run := self._run():
            key, value = self._new("metric"), self.random.random()
            fields = {"run_id": run, "key": key, "value": value, "timestamp": 1}
            self._mlflow("run.log", run, "/runs/log-metric", {("metric", run, key): value}, **fields)

    def _log_batch(self) -> None:
        """MLflow writes its params, metrics and tags one after the other."""
        if run := self._run():
            names = [self._new("batch") for _ in range(4)]
            pairs = [{"key": name, "value": name[::-1]} for name in names]
            metrics = [{"key": name, "value": 0.5, "timestamp": 1} for name in names]
            cells: dict[Cell, Value] = {("metric", run, name): 0.5 for name in names}
            cells |= {(kind, run, name): name[::-1] for kind in ("param", "tag") for name in names}
            body = {"params": pairs, "metrics": metrics, "tags": pairs}
            self._mlflow("run.log", run, "/runs/log-batch", cells, run_id=run, may_be_partial=True, **body)

    def _set_tag(self) -> None:
        if run := self._run():
            key, value = f"tag{self.random.randrange(5)}", self._new("value")
            fields = {"run_id": run, "key": key, "value": value}
            self._mlflow("run.tag", run, "/runs/set-tag", {("tag", run, key): value}, **fields)

    def _delete_tag(self) -> None:
        if run := self._run():
            key = f"tag{self.random.randrange(5)}"
            self._mlflow("run.untag", run, "/runs/delete-tag", {("tag", run, key): None}, run_id=run, key=key)

    def _delete_run(self) -> None:
        if len(self._runs) > 1 and (run := self._runs.pop(0)):
            self._mlflow("run.delete", run, "/runs/delete", {("life", run): "deleted"}, run_id=run)

    def _create_model(self) -> None:
        self._models += 1
        serial = f"{self.name}-m{self._models}"
        self._versions[serial] = []
        body = {"name": f"{serial}.0", "description": serial}
        self._mlflow(
            "model.create", f"{serial}.0", "/registered-models/create", {("model", serial): f"{serial}.0"}, **body
        )

    def _model(self) -> tuple[str, str] | None:
        """A serial and a name."""
        known = [(one, name) for one in list(self._versions)[-4:] if (name := self.journal.certain(("model", one)))]
        return self.random.choice(known) if known else None  # type: ignore[return-value]

    def _create_version(self) -> None:
        if not (model := self._model()):
            return
        serial, name = model
        label = self._new("version")

        def learn(change: Change, answer: dict[str, Any]) -> Mapping[Cell, Value]:
            number = int(answer["model_version"]["version"])
            change.subject = f"{name}/{number}"
            self._versions[serial].append((label, number))
            return {}

        source = f"mlflow-artifacts:/workspaces/{self.workspace}/{self._experiment}/{self.name}/artifacts/d0"
        body = {"name": name, "source": source, "description": label}
        self._mlflow(
            "version.create", None, "/model-versions/create", {("version", serial, label): 1}, learn=learn, **body
        )

    def _version(self) -> tuple[str, str, str, int] | None:
        """A serial, its model's name, a label and a number."""
        model = self._model()
        if not model or not self._versions[model[0]]:
            return None
        return (*model, *self.random.choice(self._versions[model[0]]))

    def _set_alias(self) -> None:
        if found := self._version():
            serial, name, label, number = found
            alias = f"alias{self.random.randrange(3)}"
            fields = {"name": name, "alias": alias, "version": str(number)}
            cells = {("alias", serial, alias): label}
            self._mlflow("alias.set", f"{name}@{alias}", "/registered-models/alias", cells, **fields)

    def _delete_alias(self) -> None:
        if found := self._model():
            serial, name = found
            alias = f"alias{self.random.randrange(3)}"
            fields = {"name": name, "alias": alias, "method": "DELETE"}
            cells: dict[Cell, Value] = {("alias", serial, alias): None}
            self._mlflow("alias.delete", f"{name}@{alias}", "/registered-models/alias", cells, **fields)

    def _tag_model(self) -> None:
        if found := self._model():
            serial, name = found
            value = self._new("value")
            cells = {("mtag", serial, "tag"): value}
            self._mlflow("model.tag", name, "/registered-models/set-tag", cells, name=name, key="tag", value=value)

    def _tag_version(self) -> None:
        if found := self._version():
            serial, name, label, number = found
            value = self._new("value")
            cells = {("vtag", serial, label): value}
            fields = {"name": name, "version": str(number), "key": "tag", "value": value}
            self._mlflow("version.tag", f"{name}/{number}", "/model-versions/set-tag", cells, **fields)

    def _rename_model(self) -> None:
        if found := self._model():
            serial, name = found
            new = f"{serial}.{int(name.rpartition('.')[2]) + 1}"
            cells = {("model", serial): new}
            self._mlflow("model.rename", name, "/registered-models/rename", cells, name=name, new_name=new)

    def _delete_version(self) -> None:
        if found := self._version():
            serial, name, label, number = found
            cells: dict[Cell, Value] = {("version", serial, label): None, ("vtag", serial, label): None}
            cells |= {
                cell: None
                for cell, values in list(self.journal.cells.items())
                if cell[:2] == ("alias", serial) and label in values
            }
            self._versions[serial].remove((label, number))
            fields = {"name": name, "version": str(number), "method": "DELETE"}
            self._mlflow("version.delete", f"{name}/{number}", "/model-versions/delete", cells, **fields)

    def _delete_model(self) -> None:
        if found := self._model():
            serial, name = found
            cells: dict[Cell, Value] = {cell: None for cell in list(self.journal.cells) if cell[1] == serial}
            self._mlflow("model.delete", name, "/registered-models/delete", cells, name=name, method="DELETE")


class Operator(Client):
    """Workspaces and keys."""

    #: What is left of these is looked at over the API.
    def __init__(self, *args: Any, **names: Any) -> None:
        super().__init__(*args, **names)
        self.secrets: dict[str, str] = {}
        self._workspaces: list[str] = []

    def _deeds(self) -> Sequence[tuple[Callable[[], None], int]]:
        return (
            *((self._create_workspace, 3), (self._suspend, 2), (self._resume, 2), (self._set_quota, 4)),
            *((self._create_key, 6), (self._rotate, 4), (self._revoke, 4)),
        )

    def _create_workspace(self) -> None:
        name = self._new("ws").lower()
        self._workspaces.append(name)
        cells = {("workspace", name): "active", ("quota", name): 77}
        body = {"name": name, "quota": {"files": 77}}
        self._change("workspace.create", name, "POST", "/api/v1/workspaces", body, cells, workspace=name)

    def _a_workspace(self) -> str | None:
        known = [one for one in self._workspaces[-5:] if self.journal.certain(("workspace", one))]
        return self.random.choice(known) if known else None

    def _suspend(self) -> None:
        if name := self._a_workspace():
            cells = {("workspace", name): "suspended"}
            path = f"/api/v1/workspaces/{name}/suspend"
            self._change("workspace.suspend", name, "POST", path, {}, cells, workspace=name)

    def _resume(self) -> None:
        if name := self._a_workspace():
            path = f"/api/v1/workspaces/{name}/resume"
            self._change("workspace.resume", name, "POST", path, {}, {("workspace", name): "active"}, workspace=name)

    def _set_quota(self) -> None:
        if name := self._a_workspace():
            files = self.random.randrange(10, 10_000)
            path, body = f"/api/v1/workspaces/{name}", {"quota": {"files": files}}
            self._change("workspace.update", name, "PATCH", path, body, {("quota", name): files}, workspace=name)

    def _create_key(self) -> None:
        name = self._new("key")

        def learn(change: Change, answer: dict[str, Any]) -> Mapping[Cell, Value]:
            change.subject = answer["key_id"]
            self.secrets[answer["key_id"]] = answer["key"]
            return {("key", answer["key_id"]): "active"}

        body = {"name": name, "workspace": self.workspace, "permissions": ["read"]}
        self._change("key.create", None, "POST", "/api/v1/keys", body, {("keys", name): 1}, learn=learn)

    def _key(self) -> str | None:
        known = [one for one in list(self.secrets)[-8:] if self.journal.certain(("key", one)) == "active"]
        return self.random.choice(known) if known else None

    def _rotate(self) -> None:
        if not (old := self._key()):
            return

        def learn(change: Change, answer: dict[str, Any]) -> Mapping[Cell, Value]:
            change.subject = answer["key_id"]
            self.secrets[answer["key_id"]] = answer["key"]
            return {("key", answer["key_id"]): "active", ("successor", old): answer["key_id"]}

        path, body = f"/api/v1/keys/{old}/rotate", {"overlap": "0s"}
        self._change("key.rotate", None, "POST", path, body, {("key", old): "rotated"}, learn=learn)

    def _revoke(self) -> None:
        if key := self._key():
            self._change("key.revoke", key, "DELETE", f"/api/v1/keys/{key}", None, {("key", key): "revoked"})
