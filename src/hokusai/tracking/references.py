"""What a request refers to belongs to its workspace: experiments, runs, logged models, sources."""

from __future__ import annotations

from collections.abc import Iterator

from hokusai import errors
from hokusai.tracking.asked import Asked
from hokusai.tracking.owned import Owned
from hokusai.tracking.source import resolve

#: Logged models one request may refer to: each unknown one costs a question to MLflow.
_MOST_MODELS = 100


class References:
    """Resolves references before MLflow sees them. Raises ``errors.ReferenceUnknown`` or ``SourceForbidden``."""

    def __init__(self, owned: Owned) -> None:
        self._owned = owned

    async def resolve(self, asked: Asked) -> None:
        if asked.route == "/model-versions/create":
            await self._source(asked)
        mentioned = set(_logged_models(asked))
        if len(mentioned) > _MOST_MODELS:
            raise errors.ListTooLong(name="model_id", limit=_MOST_MODELS)
        for name, model_id in mentioned:
            await self._owned.require(asked.workspace, name, logged_model=model_id)
        if run_id := asked.fields.get("source_run_id"):
            await self._owned.require(asked.workspace, "source_run_id", run=str(run_id))

    async def _source(self, asked: Asked) -> None:
        """The source in canonical spelling, with the run or logged model that it belongs to beside it."""
        source = await resolve(str(asked.fields.get("source", "")), workspace=asked.workspace, owned=self._owned)
        if isinstance(source, errors.SourceForbidden):
            raise source
        asked.fields["source"] = source.uri
        for name, belongs_to in (("run_id", source.run_id), ("model_id", source.model_id)):
            if belongs_to is None:
                continue
            if asked.fields.get(name, belongs_to) not in {belongs_to, ""}:
                raise errors.IdentifiersDiffer(one=name, other="source")
            asked.fields[name] = belongs_to
        if run_id := asked.fields.get("run_id"):
            await self._owned.require(asked.workspace, "run_id", run=str(run_id))


def _logged_models(asked: Asked) -> Iterator[tuple[str, str]]:
    """Each logged model a request refers to, and the field that does. MLflow checks the one in a path itself."""
    if asked.fields.get("model_id") and not asked.route.startswith("/logged-models/"):
        yield "model_id", str(asked.fields["model_id"])
    for name in ("metrics", "models"):
        listed = asked.fields.get(name)
        for one in listed if isinstance(listed, list) else []:
            if one.get("model_id"):
                yield name, str(one["model_id"])
