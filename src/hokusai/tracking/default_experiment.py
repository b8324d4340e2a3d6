"""Experiment 0, which stock clients log to unless they call ``set_experiment``.

Outside MLflow's own ``default`` workspace that id does not exist, so a client's first line would fail. Here it stands
for the workspace's own experiment named ``Default``, which is created at its first use.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from hokusai.tracking.request import TrackingRequest

#: The id in requests, and the experiment it stands for (MLflow's ``SqlAlchemyStore``).
ZERO = "0"
NAME = "Default"

#: Asks MLflow for the id of the experiment ``NAME`` in a workspace, which is created unless it exists.
Find = Callable[[str], Awaitable[str]]


class DefaultExperiment:
    """Replaces experiment 0 in a request by the id of the workspace's own."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._known: dict[str, str] = {}
        self._finding = asyncio.Lock()

    async def resolve(self, request: TrackingRequest) -> None:
        fields = request.fields
        if fields.get("experiment_id") == ZERO:
            fields["experiment_id"] = await self._id(request.workspace)
        listed = fields.get("experiment_ids")
        if isinstance(listed, list) and ZERO in listed:
            real = await self._id(request.workspace)
            fields["experiment_ids"] = [real if one == ZERO else one for one in listed]

    async def _id(self, workspace: str) -> str:
        async with self._finding:
            if workspace not in self._known:
                self._known[workspace] = await self._find(workspace)
            return self._known[workspace]
