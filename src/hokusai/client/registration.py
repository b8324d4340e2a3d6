"""Registering a model, with the same requests as a stock MLflow client, and no others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hokusai import errors
from hokusai.client import values
from hokusai.client.answer import ApiError
from hokusai.client.artifacts import STORE, Artifacts
from hokusai.client.connection import Connection
from hokusai.client.files import LocalFile, local_files
from hokusai.client.models import API, Models
from hokusai.client.progress_meter import Meter
from hokusai.client.values import Document, ModelVersion, OnProgress

T = TypeVar("T")

#: The experiment for the runs of these registrations.
EXPERIMENT = "hokusai-register"

_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class _Experiment:
    experiment_id: str
    deleted: bool

    @classmethod
    def read(cls, document: Document) -> _Experiment:
        facts = document["experiment"]
        return cls(str(facts["experiment_id"]), facts.get("lifecycle_stage") == "deleted")


@dataclass(frozen=True, slots=True)
class _Run:
    run_id: str
    artifact_uri: str

    @classmethod
    def read(cls, document: Document) -> _Run:
        facts = document["run"]["info"]
        return cls(str(facts["run_id"]), str(facts["artifact_uri"]))


class Registration:
    """Uploads a model as the artifacts of a new run, and creates a version from them.

    ``patience`` is how many seconds the version may take to become READY after its creation.
    """

    def __init__(self, connection: Connection, models: Models, *, patience: float) -> None:
        self._connection = connection
        self._models = models
        self._patience = patience

    def register(
        self,
        path: Path,
        name: str,
        *,
        description: str,
        tags: Mapping[str, str],
        progress: OnProgress | None,
    ) -> ModelVersion:
        files = local_files(path)
        self._create_model(name)  # first, so that a refused name or key costs no upload
        with self._run(f"register {name}") as run:
            source = f"{run.artifact_uri}/model"
            self._send(files, source.removeprefix(STORE), progress)
        return self._ready(self._create_version(name, source, run.run_id, description, tags))

    def _send(self, files: Sequence[LocalFile], directory: str, progress: OnProgress | None) -> None:
        meter = Meter(sum(file.size for file in files), progress)
        store = Artifacts(self._connection)
        for file in files:
            store.send(f"{directory}/{file.name}", file, meter.of(file.name))

    def _create_model(self, name: str) -> None:
        _unless(
            "RESOURCE_ALREADY_EXISTS",
            lambda: self._post("registered-models/create", dict, {"name": name}, idempotent=True),
        )

    def _create_version(
        self, name: str, source: str, run_id: str, description: str, tags: Mapping[str, str]
    ) -> ModelVersion:
        pairs = [{"key": key, "value": value} for key, value in tags.items()]
        body = {"name": name, "source": source, "run_id": run_id, "description": description, "tags": pairs}
        return self._post("model-versions/create", values.versioned, body)

    @contextmanager
    def _run(self, name: str) -> Iterator[_Run]:
        """A run that is FINISHED after the block, FAILED after an error, and KILLED after an interruption."""
        body = {"experiment_id": self._experiment(), "run_name": name, "start_time": _now()}
        run = self._post("runs/create", _Run.read, body)
        try:
            yield run
        except BaseException as error:
            with suppress(errors.HokusaiError):
                self._end(run, "FAILED" if isinstance(error, Exception) else "KILLED")
            raise
        self._end(run, "FINISHED", idempotent=True)

    def _end(self, run: _Run, status: str, *, idempotent: bool = False) -> None:
        self._post(
            "runs/update", dict, {"run_id": run.run_id, "status": status, "end_time": _now()}, idempotent=idempotent
        )

    def _experiment(self) -> str:
        """The id of ``EXPERIMENT``, which is created or restored if necessary."""
        found = _unless("RESOURCE_DOES_NOT_EXIST", self._find_experiment)
        if found is None:
            _unless("RESOURCE_ALREADY_EXISTS", self._create_experiment)  # another client was faster
            found = self._find_experiment()
        if found.deleted:
            self._post("experiments/restore", dict, {"experiment_id": found.experiment_id}, idempotent=True)
        return found.experiment_id

    def _find_experiment(self) -> _Experiment:
        path, query = f"{API}/experiments/get-by-name", {"experiment_name": EXPERIMENT}
        return self._connection.ask("GET", path, _Experiment.read, query=query)

    def _create_experiment(self) -> None:
        self._post("experiments/create", dict, {"name": EXPERIMENT})

    def _ready(self, version: ModelVersion) -> ModelVersion:
        """The version once it is READY. Raises ``errors.VersionNotReady`` if it fails, or takes too long."""
        until = time.monotonic() + self._patience
        while version.status == "PENDING_REGISTRATION" and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
            version = self._models.version(version.name, version.version)
        if version.status != "READY":
            raise not_ready(version)
        return version

    def _post(
        self, route: str, read: Callable[[dict[str, Any]], T], body: Mapping[str, Any], *, idempotent: bool = False
    ) -> T:
        return self._connection.ask("POST", f"{API}/{route}", read, body=body, idempotent=idempotent)


def not_ready(version: ModelVersion) -> errors.VersionNotReady:
    reason = version.status_message or f"its status is {version.status}"
    return errors.VersionNotReady(name=version.name, version=version.version, reason=reason)


def _unless(error_code: str, call: Callable[[], T]) -> T | None:
    """What ``call`` returns; None where the server refused with ``error_code``."""
    try:
        return call()
    except ApiError as error:
        if error.error_code != error_code:
            raise
        return None


def _now() -> int:
    return int(time.time() * 1000)
