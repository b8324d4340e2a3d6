"""Registered models and their versions, over MLflow's registry routes (``model_registry.proto``)."""

from __future__ import annotations

import re

from hokusai import errors, mlflow_api
from hokusai.client import values
from hokusai.client.connection import Connection, Query
from hokusai.client.values import Model, ModelVersion

API = mlflow_api.V2

_URI = re.compile(
    r"models:/(?:(?P<name>[^/:]+)/(?P<version>[1-9][0-9]{0,9}|latest)|(?P<aliased>[^/:]+)@(?P<alias>[^/:@]+))"
)
#: MLflow stores prompts in the same tables. They are left out, as in its own client.
_NO_PROMPTS = "tag.`mlflow.prompt.is_prompt` != 'true'"


class Models:
    """What is registered in the workspace of the key."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> tuple[Model, ...]:
        """Every registered model, by name."""
        query: Query = {"filter": _NO_PROMPTS, "order_by": "name ASC", "max_results": 200}
        pages = self._connection.pages(f"{API}/registered-models/search", "registered_models", values.model, query)
        return tuple(pages)

    def get(self, name: str) -> Model:
        """Raises ``ApiError`` (404) where there is none of this name."""
        return self._connection.ask("GET", f"{API}/registered-models/get", values.registered, query={"name": name})

    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """Every version of the model, newest first; none for a name that is not registered."""
        quote = '"' if "'" in name else "'"
        query: Query = {"filter": f"name={quote}{name}{quote}", "order_by": "version_number DESC", "max_results": 200}
        pages = self._connection.pages(f"{API}/model-versions/search", "model_versions", values.model_version, query)
        return tuple(pages)

    def version(self, name: str, number: int) -> ModelVersion:
        """Raises ``ApiError`` (404) where there is none."""
        return self._version("model-versions/get", {"name": name, "version": number})

    def find(self, uri: str) -> ModelVersion:
        """The version at ``models:/NAME/VERSION``, ``models:/NAME/latest`` or ``models:/NAME@ALIAS``.

        Raises ``errors.ModelUriInvalid`` for anything else, ``ApiError`` (404) where there is none.
        """
        parts = _URI.fullmatch(uri)
        if parts is None:
            raise errors.ModelUriInvalid(uri=uri)
        if parts["alias"]:
            return self._version("registered-models/alias", {"name": parts["aliased"], "alias": parts["alias"]})
        latest = parts["version"] == "latest"
        return self.version(parts["name"], self._latest(parts["name"]) if latest else int(parts["version"]))

    def location(self, version: ModelVersion) -> str:
        """The URI of the directory with the version's files."""
        path = f"{API}/model-versions/get-download-uri"
        query: Query = {"name": version.name, "version": version.version}
        return self._connection.ask("GET", path, lambda answer: str(answer["artifact_uri"]), query=query)

    def _latest(self, name: str) -> int:
        latest = self.get(name).latest
        if latest is None:
            raise errors.VersionNotReady(name=name, version="latest", reason="the model has no version yet")
        return latest

    def _version(self, route: str, query: Query) -> ModelVersion:
        return self._connection.ask("GET", f"{API}/{route}", values.versioned, query=query)
