"""Checks that what a request refers to belongs to its workspace: resources its fields name, a version's source."""

from __future__ import annotations

from hokusai import errors
from hokusai.tracking.ownership import Ownership
from hokusai.tracking.request import TrackingRequest
from hokusai.tracking.source import resolve

#: References in one request: each that is not known yet costs a question to MLflow.
_MAX_REFERENCES = 100


class ReferenceResolver:
    """Checks references before MLflow sees them. Raises ``errors.ReferenceUnknown`` or ``SourceForbidden``.

    Which fields refer to what is declared in the gateway's route table; ``TrackingRequest.references`` holds what they
    refer to in this request. Targets are not among them: MLflow checks the run or model that a request acts on.
    """

    def __init__(self, ownership: Ownership) -> None:
        self._ownership = ownership

    async def resolve(self, request: TrackingRequest) -> None:
        if request.route == "/model-versions/create":
            await self._source(request)
        references = dict.fromkeys(request.references)
        if len(references) > _MAX_REFERENCES:
            raise errors.ListTooLong(name=request.references[0].field, limit=_MAX_REFERENCES)
        for reference in references:
            if not await self._ownership.includes(request.workspace, reference.type, reference.id):
                raise errors.ReferenceUnknown(resource=reference.type.value, field=reference.field)

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
