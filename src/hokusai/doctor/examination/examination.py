"""One run of the doctor: its target, its means, and what the checks have found out so far."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from hokusai.doctor.examination.cleanup import Cleanup
from hokusai.doctor.examination.target import Target
from hokusai.doctor.probe import Answer, Probe
from hokusai.mlflow_api import ARTIFACTS, V2


@dataclass(slots=True)
class Facts:
    """What one check finds out or makes, and later ones use."""

    key: str | None = field(default=None, repr=False)  # that models are registered with
    permissions: frozenset[str] = frozenset()
    workspace: str | None = None
    cleanup_key: str | None = field(default=None, repr=False)  # may delete, where ``key`` may not
    experiment: str = ""
    run: str = ""
    root: str = ""  # of the run's artifacts, below ARTIFACTS
    sent: dict[str, str] = field(default_factory=dict)  # SHA-256 by path
    model: str = ""
    version: str = ""


class Examination:
    """The target and the requests that checks make to it. Everything created gets ``name``, which is new each time."""

    def __init__(self, target: Target, probe: Probe) -> None:
        self.target = target
        self.probe = probe
        self.name = "hokusai-doctor-" + secrets.token_hex(4)
        self.facts = Facts(key=target.key)
        self.cleanup = Cleanup()

    async def ask(self, method: str, path: str, **more: Any) -> Answer:
        """A request to the base URL, without a key unless one is given."""
        return await self.probe.ask(method, self.target.url + path, **more)

    async def api(self, method: str, path: str, **more: Any) -> Answer:
        """A request to MLflow's API, with the key."""
        return await self.probe.ask(method, self.target.api + path, key=self.facts.key, **more)

    async def delete(self, path: str, **more: Any) -> Answer:
        """A DELETE to MLflow's API, with a key that may delete."""
        key = self.facts.cleanup_key or self.facts.key
        return await self.probe.ask("DELETE", self.target.api + path, key=key, **more)

    async def auth(self, method: str, path: str, **more: Any) -> Answer:
        """A request to the service that keeps the keys, with the operator's key unless another is given."""
        key = more.pop("key", self.target.operator_key)
        return await self.probe.ask(method, self.target.auth + path, key=key, **more)

    async def post(self, route: str, body: Mapping[str, object]) -> Answer:
        return await self.api("POST", f"{V2}/{route}", body=body)

    async def get(self, route: str, **query: str) -> Answer:
        return await self.api("GET", f"{V2}/{route}", query=query)

    async def file(self, method: str, path: str, **more: Any) -> Answer:
        """A request for one artifact; ``path`` is relative to the store's root."""
        return await self.api(method, f"{ARTIFACTS}/{quote(path)}", **more)
