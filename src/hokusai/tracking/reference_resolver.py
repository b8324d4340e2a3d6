"""What a request refers to belongs to its workspace: experiments, runs, logged models, sources."""

from __future__ import annotations

from collections.abc import Iterator

from hokusai import errors
from hokusai.tracking.ownership import Ownership
from hokusai.tracking.request import TrackingRequest
from hokusai.tracking.source import resolve

#: Logged models one request may refer to: each unknown one costs a question to MLflow.
_MOST_MODELS = 100


class ReferenceResolver:
    """Resolves references before MLflow sees them. Raises ``errors.ReferenceUnknown`` or ``SourceForbidden``."""

    def __init__(self, ownership: Ownership) -> None:
        self._ownership = ownership

    async def resolve(self, request: TrackingRequest) -> None:
        if request.route == "/model-versions/create":
            await self._source(request)
        mentioned = set(_logged_models(request))
        if len(mentioned) > _MOST_MODELS:
            raise errors.ListTooLong(name="model_id", limit=_MOST_MODELS)
        for name, model_id in mentioned:
            await self._ownership.require(request.workspace, name, logged_model=model_id)
        if run_id := request.fields.get("source_run_id"):
            await self._ownership.require(request.workspace, "source_run_id", run=str(run_id))

    async def _source(self, request: TrackingRequest) -> None:
        """The source in canonical spelling, with the run or logged model that it belongs to beside it."""
        source = await resolve(
            str(request.fields.get("source", "")), workspace=request.workspace, ownership=self._ownership
        )
        if isinstance(source, errors.SourceForbidden):
            raise source
        request.fields["source"] = source.uri
        for name, belongs_to in (("run_id", source.run_id), ("model_id", source.model_id)):
            if belongs_to is None:
                continue
            if request.fields.get(name, belongs_to) not in {belongs_to, ""}:
                raise errors.IdentifiersDiffer(one=name, other="source")
            request.fields[name] = belongs_to
        if run_id := request.fields.get("run_id"):
            await self._ownership.require(request.workspace, "run_id", run=str(run_id))


def _logged_models(request: TrackingRequest) -> Iterator[tuple[str, str]]:
    """Each logged model a request refers to, and the field that does. MLflow checks the one in a path itself."""
    if request.fields.get("model_id") and not request.route.startswith("/logged-models/"):
        yield "model_id", str(request.fields["model_id"])
    for name in ("metrics", "models"):
        listed = request.fields.get(name)
        for one in listed if isinstance(listed, list) else []:
            if one.get("model_id"):
                yield name, str(one["model_id"])
