"""Counts registered models and keeps their names: the models are in MLflow's tables, quota and names in ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from starlette.types import Message, Send

from hokusai import errors
from hokusai.model_names import ModelNames
from hokusai.quota import ModelQuota
from hokusai.tracking.request import TrackingRequest

#: Asks MLflow for the names of all registered models of a workspace.
Names = Callable[[str], Awaitable[set[str]]]

#: Hands the request to MLflow, and its answer to a ``send``. Raises MLflow's refusals.
Call = Callable[[Send], Awaitable[None]]

#: MLflow's answers that say that no model was created.
_NOT_CREATED = (errors.TrackingRefused, errors.TrackingUnknown)
#: Answers that say that a name was not given, before or after MLflow was asked.
_NOT_GIVEN = (*_NOT_CREATED, errors.TrackingExists, errors.TooLarge)


class ModelCounter:
    """Keeps counts and names in step with the models that MLflow creates, deletes and renames.

    The client gets MLflow's answer once both are right: after a deletion it may create another model at once.
    """

    def __init__(self, models: ModelQuota, model_names: ModelNames, names: Names) -> None:
        self._models = models
        self._model_names = model_names
        self._names = names
        self._counted = {
            "/registered-models/create": self._create,
            "/registered-models/delete": self._delete,
            "/registered-models/rename": self._rename,
        }

    async def around(self, request: TrackingRequest, call: Call, send: Send) -> None:
        """Raises ``errors.ModelsQuotaExceeded`` and what ``ModelNames`` refuses before the call, and what it raises."""
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
        """Where MLflow gives no answer the model may have been created: its name stays counted and taken."""
        workspace, name = request.workspace, str(request.fields.get("name", ""))
        await self._reconcile(workspace)
        async with self._name(workspace, name):
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
        workspace, name = request.workspace, str(request.fields.get("name", ""))
        await call(send)
        await self._models.release(workspace, name)
        await self._model_names.free(workspace, name)

    async def _rename(self, request: TrackingRequest, call: Call, send: Send) -> None:
        workspace = request.workspace
        old, new = str(request.fields.get("name", "")), str(request.fields.get("new_name", ""))
        await self._reconcile(workspace)
        async with self._name(workspace, new, renamed_from=old):
            await call(send)
        await self._models.rename(workspace, old, new)

    @asynccontextmanager
    async def _name(self, workspace: str, name: str, *, renamed_from: str | None = None) -> AsyncIterator[None]:
        """Claims the name while the block gives it. Raises the refusal."""
        claim = await self._model_names.claim(workspace, name, renamed_from=renamed_from)
        if isinstance(claim, errors.HokusaiError):
            raise claim
        given = True
        try:
            yield
        except _NOT_GIVEN as error:
            # A model that is there already has the name; a rename onto it was refused.
            given = isinstance(error, errors.TrackingExists) and renamed_from is None
            raise
        except BaseException:  # nobody knows
            claim = None
            raise
        finally:
            if claim is not None:
                await self._model_names.settle(workspace, claim, given=given)

    async def _reconcile(self, workspace: str) -> None:
        """Once a day, and before the first request of a workspace that was here before its names were written down."""
        if await self._models.is_due(workspace):
            names = await self._names(workspace)
            await self._model_names.reconcile(workspace, names)
            await self._models.reconcile(workspace, names)
