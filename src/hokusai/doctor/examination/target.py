"""What is examined."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from hokusai.mlflow_api import TRACKING_PREFIX

Kind = Literal["hokusai", "mlflow"]


@dataclass(frozen=True, slots=True)
class Target:
    """The deployment, and what the operator says about it. The keys are in no ``repr``.

    ``url`` is the public base, or for ``mlflow`` the tracking URI. ``http_port`` is where the same
    host answers plain HTTP. ``tracking_url`` is MLflow's own address, which must not be reachable.
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
        """The given keys, which no report may show."""
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
        """The URL that stock clients take as their tracking URI."""
        return self.url + TRACKING_PREFIX if self.kind == "hokusai" else self.url

    @property
    def auth(self) -> str:
        """The URL of the service that keeps the keys."""
        return self.auth_url or self.url
