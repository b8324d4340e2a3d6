"""The client: everything that a key may do, as typed calls."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self
from urllib.parse import quote

from hokusai import errors
from hokusai.client import values
from hokusai.client.audit import Audit
from hokusai.client.connection import Connection
from hokusai.client.fetching import Fetching
from hokusai.client.keys import Keys
from hokusai.client.models import Models
from hokusai.client.registration import Registration
from hokusai.client.values import ModelVersion, OnProgress, Readiness, Usage
from hokusai.client.workspaces import Workspaces
from hokusai.mlflow_api import TRACKING_PREFIX

#: Seconds that ``register`` waits for a version to become READY.
PATIENCE = 600.0


class Client:
    """A connection to one Hokusai server.

    ``url`` and ``key`` default to ``HOKUSAI_URL`` and ``HOKUSAI_API_KEY``. ``timeout`` is how many seconds the server
    may stay silent. Use it as a context manager, or call ``close``.

        with hokusai.Client() as client:
            version = client.register("model/", name="churn")
            client.pull(version.uri, "copy/")

    Requests that may safely be sent twice are retried when there is no answer, and after 429 and 502 to 504. Every call
    raises ``ApiError`` where the server refused, ``errors.ServerUnreachable`` without an answer,
    ``errors.AnswerUnreadable`` where the answer is not from this product, ``errors.ClientKeyMissing`` without a key.
    """

    def __init__(self, url: str | None = None, key: str | None = None, *, timeout: float = 60.0) -> None:
        """Does not connect yet. Raises ``errors.UrlMissing``, ``UrlInvalid`` and ``ClientKeyUnusable``."""
        found = url or os.environ.get("HOKUSAI_URL")
        if not found:
            raise errors.UrlMissing
        self._connection = Connection(url=found, key=key or os.environ.get("HOKUSAI_API_KEY"), timeout=timeout)
        self.workspaces = Workspaces(self._connection)
        self.keys = Keys(self._connection)
        self.models = Models(self._connection)
        self.audit = Audit(self._connection)

    def __repr__(self) -> str:
        return f"<Client of {self.url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the server."""
        self._connection.close()

    @property
    def url(self) -> str:
        """The server's base URL."""
        return self._connection.url

    def register(
        self,
        path: str | os.PathLike[str],
        name: str,
        *,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        progress: OnProgress | None = None,
        patience: float = PATIENCE,
    ) -> ModelVersion:
        """Upload a model directory, any other directory, or a file, as the next version of ``name``.

        A directory that MLflow saved (it has an ``MLmodel`` file) can be loaded with
        ``mlflow.pyfunc.load_model("models:/NAME/VERSION")`` afterwards. Anything else is stored as it is. ``progress``
        is called while bytes are sent. ``patience`` is how many seconds to wait for the version to become READY.

        Returns the version once it is READY. Raises ``errors.PathUnusable``, before anything is sent, where a file
        cannot be read or a symbolic link leads out of the directory, and ``errors.VersionNotReady``.
        """
        registration = Registration(self._connection, self.models, patience=patience)
        return registration.register(Path(path), name, description=description, tags=tags or {}, progress=progress)

    def pull(self, uri: str, directory: str | os.PathLike[str], *, progress: OnProgress | None = None) -> Path:
        """Download ``models:/NAME/VERSION``, ``models:/NAME/latest`` or ``models:/NAME@ALIAS`` into ``directory``.

        The directory must not exist, or be empty; it appears complete or not at all. Every file is compared with the
        digest that the server recorded; a file without one is not accepted. Raises ``errors.TargetUnusable``,
        ``errors.DigestDiffers``, ``errors.DigestMissing``, ``errors.AnswerHostile`` and ``errors.VersionNotReady``.
        """
        return Fetching(self._connection, self.models).fetch(uri, Path(directory), progress)

    def usage(self, key_id: str, *, hours: int = 24) -> Usage:
        """How much a key was used in the last ``hours``, including the current one."""
        path = f"/api/v1/usage/{quote(key_id, safe='')}/stats"
        return self._connection.ask("GET", path, values.usage, query={"hours": hours})

    def env(self) -> dict[str, str]:
        """The two environment variables that connect stock MLflow to this server. The second is the key: a secret."""
        return {"MLFLOW_TRACKING_URI": self.url + TRACKING_PREFIX, "MLFLOW_TRACKING_TOKEN": self._connection.key}

    def ready(self) -> Readiness:
        """The state of the server and of its parts. Needs no key."""
        answer = self._connection.exchange("GET", "/ready", public=True)
        return answer.read(values.readiness, also=503)

    def version(self) -> dict[str, str]:
        """The versions of the server and of its MLflow. Needs no key."""
        return self._connection.exchange("GET", "/version", public=True).read(values.texts)
