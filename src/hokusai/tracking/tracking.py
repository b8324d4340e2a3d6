"""The app in front of either MLflow: checks and completes a tenant's request, then hands it on."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope, Send

from hokusai import errors, json_body
from hokusai.model_names import ModelNames
from hokusai.quota import ModelQuota, TrackingQuota
from hokusai.tracking.byte_counter import ByteCounter
from hokusai.tracking.default_experiment import DefaultExperiment
from hokusai.tracking.engine import Engine
from hokusai.tracking.engine_client import EngineClient
from hokusai.tracking.error_translation import ErrorTranslation
from hokusai.tracking.model_counter import ModelCounter
from hokusai.tracking.ownership import Ownership
from hokusai.tracking.page_sizes import PageSizes
from hokusai.tracking.protected_aliases import ProtectedAliases
from hokusai.tracking.reference_resolver import ReferenceResolver
from hokusai.tracking.request import Serialized, TrackingRequest
from hokusai.tracking.rules import check, is_page


class Tracking:
    """An ASGI app: MLflow's API for the principal's workspace."""

    def __init__(
        self, engine: Engine, *, models: ModelQuota, names: ModelNames, stored: TrackingQuota, timeout: float
    ) -> None:
        self.engine = engine
        self._client = EngineClient(engine, timeout=timeout)
        self._default = DefaultExperiment(self._client.default_experiment)
        self._references = ReferenceResolver(Ownership(self._client.ask))
        self._protected = ProtectedAliases(self._client.ask)
        self._bytes = ByteCounter(stored)
        self._counter = ModelCounter(models, names, self._client.registered_models)
        self._sizes = PageSizes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = TrackingRequest.of(scope)
        if json_body.is_large(request.fields):
            await asyncio.to_thread(check, request)
        else:
            check(request)
        await self._client.ensure_workspace(request.workspace)
        await self._default.resolve(request)
        await self._references.resolve(request)
        await self._protected.check(request)
        made = await request.serialize(scope, receive)

        async def call(send: Send) -> None:
            await self._answer(request, scope, receive, made, send)

        async with self._bytes.around(request, made.size):
            await self._counter.around(request, call, send)

    async def _answer(
        self, request: TrackingRequest, scope: Scope, receive: Receive, made: Serialized, send: Send
    ) -> None:
        """MLflow's answer. A page of a search that is too large is asked for again, with fewer results.

        MLflow builds a page whole before anybody can see how large it is. Clients follow page tokens, whatever the
        size of a page.
        """
        if not is_page(request):
            await self.engine(made.scope, made.receive, ErrorTranslation(made.scope, send))
            return
        wanted = request.fields["max_results"]
        for size in self._sizes.of(request.workspace, request.route, wanted):
            if size != wanted:
                request.fields["max_results"] = size
                made = await request.serialize(scope, receive)
            try:
                await self.engine(made.scope, made.receive, ErrorTranslation(made.scope, send))
                return
            except (errors.AnswerTooLarge, errors.RequestMemoryExceeded):
                continue
        raise errors.ResultTooLarge()

    async def start(self) -> None:
        await self.engine.start()

    async def close(self) -> None:
        await self._client.close()
        await self.engine.close()

    async def check(self) -> None:
        """Raises ``errors.Unavailable`` unless MLflow reads from its database."""
        await self.engine.check()
