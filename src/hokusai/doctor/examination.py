"""What is examined, with what, and what the checks have learnt so far."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from hokusai import mlflow_api
from hokusai.doctor.answer import Answer
from hokusai.doctor.check import Kind
from hokusai.doctor.cleanup import Cleanup
from hokusai.doctor.probe import Probe

V2 = mlflow_api.V2
FILES = mlflow_api.ARTIFACTS


@dataclass(frozen=True, slots=True)
class Target:
    """The deployment, and what the operator says of it. The keys are in no ``repr``.

    ``url`` is the public base, or for ``mlflow`` the tracking URI. ``http_port`` is where the same
    host speaks plain HTTP. ``tracking_url`` is MLflow's own address, which nobody should reach.
    ``log`` holds lines of the server's log, ``python`` an interpreter with the stock client.
    """

    url: str
    kind: Kind = "hokusai"
    auth_url: str | None = None
    key: str | None = field(default=None, repr=False)
    operator_key: str | None = field(default=None, repr=False)
    expect_version: str | None = None
    http_port: int = 80
    tracking_url: str | None = None
    log: str | None = field(default=None, repr=False)
    python: str | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """Those given, which nobody is to see."""
        return tuple(filter(None, (self.key, self.operator_key)))

    @property
    def secure(self) -> bool:
        return self.url.startswith("https:")

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or (443 if self.secure else 80)

    @property
    def api(self) -> str:
        """What stock clients take as their tracking URI."""
        return self.url + mlflow_api.TRACKING_PREFIX if self.kind == "hokusai" else self.url

    @property
    def auth(self) -> str:
        """Where keys are kept."""
        return self.auth_url or self.url


@dataclass(slots=True)
class Learnt:
    """Facts one check leaves for another."""

    key: str | None = field(default=None, repr=False)  # the key that the round is made with
    permissions: frozenset[str] = frozenset()
    workspace: str | None = None
    cleaner: str | None = field(default=None, repr=False)  # a key that may delete, where ``key`` may not
    experiment: str = ""
    run: str = ""
    root: str = ""  # of the run's artifacts, below FILES
    sent: dict[str, str] = field(default_factory=dict)  # SHA-256 by path
    model: str = ""
    version: str = ""


class Examination:
    """One run of the doctor: the target, the means, and what is known so far."""

    def __init__(self, target: Target, probe: Probe) -> None:
        self.target = target
        self.probe = probe
        self.name = "hokusai-doctor-" + secrets.token_hex(4)
        self.learnt = Learnt(key=target.key)
        self.cleanup = Cleanup()

    async def ask(self, method: str, path: str, **more: Any) -> Answer:
        """A request to the base URL, without a key unless told."""
        return await self.probe.ask(method, self.target.url + path, **more)

    async def api(self, method: str, path: str, **more: Any) -> Answer:
        """A request to MLflow's API, with the key."""
        return await self.probe.ask(method, self.target.api + path, key=self.learnt.key, **more)

    async def clean(self, method: str, path: str, **more: Any) -> Answer:
        """As ``api``, with the key that may delete."""
        return await self.probe.ask(method, self.target.api + path, key=self.learnt.cleaner or self.learnt.key, **more)

    async def auth(self, method: str, path: str, **more: Any) -> Answer:
        """A request to where the keys are kept, with the operator's key unless told."""
        key = more.pop("key", self.target.operator_key)
        return await self.probe.ask(method, self.target.auth + path, key=key, **more)

    async def post(self, route: str, body: Mapping[str, object]) -> Answer:
        return await self.api("POST", f"{V2}/{route}", body=body)

    async def get(self, route: str, **query: str) -> Answer:
        return await self.api("GET", f"{V2}/{route}", query=query)

    async def file(self, method: str, path: str, **more: Any) -> Answer:
        """A request for one artifact; ``path`` counts from the store's root."""
        return await self.api(method, f"{FILES}/{quote(path)}", **more)
