"""Counts a workspace's registered models: their rows are in MLflow's tables, the quota is ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.types import Message, Send

from hokusai import errors
from hokusai.quota import ModelQuota
from hokusai.tracking.request import TrackingRequest

#: Asks MLflow for the names of all registered models of a workspace.
Names = Callable[[str], Awaitable[set[str]]]

#: Hands the request to MLflow, and its answer to a ``send``. Raises MLflow's refusals.
Call = Callable[[Send], Awaitable[None]]

#: MLflow's answers that say that no model was created.
_NOT_CREATED = (errors.TrackingRefused, errors.TrackingUnknown)


class ModelCounter:
    """Keeps the count in step with the models that MLflow creates, deletes and renames.

    The client gets MLflow's answer once the count is right: after a deletion it may create another model at once.
    """

    def __init__(self, models: ModelQuota, names: Names) -> None:
        self._models = models
        self._names = names
        self._counted = {
            "/registered-models/create": self._create,
            "/registered-models/delete": self._delete,
            "/registered-models/rename": self._rename,
        }

    async def around(self, request: TrackingRequest, call: Call, send: Send) -> None:
        """Raises ``errors.ModelsQuotaExceeded`` before the call, and what the call raises."""
        if (counted := self._counted.get(request.route)) is None:
            await call(send)
            return
        answer: list[Message] = []

        async def keep(message: Message) -> None:
            answer.append(message)

        await counted(request, call, keep)
        for message in answer:
            await send(message)

    async def _create(self, request: TrackingRequest, call: Call, send: Send) -> None:
        """Where MLflow gives no answer the model may have been created: its name stays counted."""
        workspace, name = request.workspace, str(request.fields.get("name", ""))
        if await self._models.is_due(workspace):
            await self._models.reconcile(workspace, await self._names(workspace))
        claimed = await self._models.claim(workspace, name, request.principal.quota.models)
        if isinstance(claimed, errors.TooLarge):
            raise claimed
        try:
            await call(send)
        except _NOT_CREATED:
            if claimed:
                await self._models.release(workspace, name)
            raise

    async def _delete(self, request: TrackingRequest, call: Call, send: Send) -> None:
        await call(send)
        await self._models.release(request.workspace, str(request.fields["name"]))

    async def _rename(self, request: TrackingRequest, call: Call, send: Send) -> None:
        await call(send)
        await self._models.rename(request.workspace, str(request.fields["name"]), str(request.fields["new_name"]))
