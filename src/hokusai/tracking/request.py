"""One request to MLflow, as the gateway parsed it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.types import Receive, Scope

from hokusai import errors, json_body, mlflow_api
from hokusai.identity import FIELDS, Principal, principal_of
from hokusai.references import REFERENCES, Reference


class Serialized(NamedTuple):
    """A request as MLflow gets it. ``size`` is that of its fields, in bytes."""

    scope: Scope
    receive: Receive
    size: int


@dataclass(slots=True)
class TrackingRequest:
    """``route`` is what follows ``/api/2.0/mlflow``; rules change ``fields`` in place, or refuse.

    ``references`` are the resources that the fields refer to, as the client sent them.
    """

    method: str
    route: str
    fields: dict[str, Any]
    references: Sequence[Reference]
    principal: Principal
    workspace: str

    @classmethod
    def of(cls, scope: Scope) -> TrackingRequest:
        """Raises ``errors.WorkspaceNone`` for a key without a workspace."""
        principal = principal_of(scope)
        if principal.workspace is None:
            raise errors.WorkspaceNone()
        return cls(
            method=scope["method"],
            route=scope["path"].removeprefix(mlflow_api.V2),
            fields=dict(scope[FIELDS]),
            references=scope[REFERENCES],
            principal=principal,
            workspace=principal.workspace,
        )

    async def serialize(self, scope: Scope, receive: Receive) -> Serialized:
        """The request for MLflow: the fields in the query of a GET, in the body otherwise."""
        if self.method == "GET":
            query = urlencode(self.fields, doseq=True).encode()
            return Serialized({**scope, "query_string": query}, json_body.replay(b"", receive), len(query))
        body = await json_body.encode(self.fields)
        headers = [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/json")]
        scope = {**scope, "headers": [*scope["headers"], *headers]}
        return Serialized(scope, json_body.replay(body, receive), len(body))
