"""Every setting of the server: one name, type, default and sentence.

The name in the environment is ``HOKUSAI_`` and the field's name in capitals. The reference page is generated from this
file. Only the composition root, the server and the CLI read settings; every other package gets its values as arguments.
"""

from __future__ import annotations

import os
import re
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from hokusai import errors
from hokusai.identity import Quota

Role = Literal["all", "auth", "registry"]

#: The port is a number, or absent.
_REDIS = re.compile(r"unix://|rediss?://(?:[^/@]*@)?(?:\[[^]]*\]|[^/:@?#]*)(?::[0-9]+)?(?:[/?#]|$)")


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="HOKUSAI_", extra="ignore", frozen=True)

    data: Path = Field(
        Path("hokusai-data"),
        description="Directory for the operator key, and for the databases and artifacts that no other setting places.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(5050, ge=0, le=65535, description="Port to listen on; 0 chooses a free one.")
    role: Role = Field(
        "all", description="What this server is: `all`, or one half of a two-host deployment, `auth` or `registry`."
    )
    workers: int = Field(1, ge=1, le=64, description="Number of server processes.")

    database_url: str | None = Field(
        None,
        description="Hokusai's own database: `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`; "
        "unset: `DATA/hokusai.db`.",
    )
    tracking_database_url: str | None = Field(
        None,
        description="The database of this server's own MLflow; unset: the same PostgreSQL, or `DATA/mlflow.db`.",
    )
    tracking_url: str | None = Field(
        None,
        description="URL of a separate MLflow server, with workspaces enabled; unset: MLflow runs in child processes.",
    )
    tracking_timeout: float = Field(60, gt=0, description="Seconds to wait for an answer from MLflow.")
    tracking_processes: int = Field(
        3,
        ge=1,
        le=64,
        description="Child processes that run MLflow, for each server process (`HOKUSAI_WORKERS`). One workspace has "
        "at most all but one of them. As many again are started beside slow requests, and for workspaces that use "
        "more of the processors than others.",
    )
    tracking_memory_bytes: int = Field(
        256 * 2**20,
        ge=2**20,
        description="Bytes of memory that MLflow may take for one request. Past that, the request is refused.",
    )
    artifacts_url: str | None = Field(
        None,
        description="Where artifacts are stored: `file:///DIR`, `s3://BUCKET/PREFIX` or "
        "`memory://` (for trials: lost at exit); unset: `DATA/artifacts`.",
    )
    max_upload_bytes: int = Field(64 * 2**30, ge=1, description="The largest artifact, in bytes.")
    max_json_bytes: int = Field(4 * 2**20, ge=1024, description="The largest JSON body, in bytes.")
    body_idle_seconds: float = Field(30, gt=0, description="Seconds that a client may pause while it sends a body.")
    body_min_rate: int = Field(
        1024,
        ge=1,
        description="Slowest average rate at which a body may arrive, in bytes a second, after its first minute.",
    )
    workspace_max_bytes: int = Field(
        2**40, ge=0, description="Most bytes of artifacts in a workspace that has no quota of its own."
    )
    workspace_max_files: int = Field(
        1_000_000, ge=0, description="Most artifacts in a workspace that has no quota of its own."
    )
    workspace_max_models: int = Field(
        1_000, ge=0, description="Most registered models in a workspace that has no quota of its own."
    )
    workspace_uploads: int = Field(
        32, ge=1, description="Most uploads of one workspace at a time, in each server process."
    )

    auth_url: str | None = Field(
        None, description="URL of a separate auth service; unset: this server stores the keys itself."
    )
    auth_service_key: SecretStr | None = Field(
        None,
        description="This server's own key at the auth service (permission set `service`). Set it at the auth service "
        "too: `hokusai migrate` stores it there.",
    )
    auth_timeout: float = Field(5, gt=0, description="Seconds to wait for an answer from the auth service.")
    service_id: str = Field(
        "platform", description="Name of the service that this server is. It accepts only keys for this service."
    )
    environments: Annotated[frozenset[Literal["live", "test"]], NoDecode] = Field(
        frozenset({"live", "test"}), description="Which kinds of key are accepted: `live`, `test` or `live,test`."
    )
    key_pepper: SecretStr | None = Field(
        None,
        description="Secret that is mixed into the stored digests of keys. It must be the same for all replicas and "
        "never change.",
    )
    operator_key: SecretStr | None = Field(
        None,
        description="An operator key of your own, on the server that stores keys. `hokusai serve` makes it the first "
        "operator key where there is no key yet; `hokusai migrate` adds it at any time.",
    )
    key_cache_seconds: float = Field(
        1.5,
        ge=0,
        le=2,
        description="Seconds for which a key is cached. For as long, other servers still accept a revoked key.",
    )
    address_rate: str = Field(
        "20000/minute",
        description="Rate limit for one client address, as `COUNT/PERIOD`. Requests with good keys and all others are "
        "counted apart.",
    )
    key_rate: str = Field("100000/hour", description="Rate limit for a key that has no rate of its own.")
    workspace_rate: str = Field(
        "200000/hour", description="Rate limit for all keys of a workspace together, where its quota sets none."
    )
    max_connections: int = Field(
        4096,
        ge=1,
        description="Most open connections, in each server process. Past it, a new one takes the place of an idle one "
        "without a key.",
    )
    address_connections: int = Field(
        512,
        ge=1,
        description="Most open connections from one address, in each server process. There is no limit for the "
        "addresses in `HOKUSAI_TRUSTED_PROXIES`.",
    )
    guess_rate: str = Field("60/minute", description="How many invalid keys one address may send before it must wait.")
    redis_url: SecretStr | None = Field(
        None,
        description="URL of a Redis (`redis://HOST:6379/0`, `rediss:` or `unix:`) that counts rates for all processes "
        "and replicas together; unset: each process counts for itself.",
    )
    redis_password: SecretStr | None = Field(
        None, description="Password of that Redis, where it is not in the URL: a secret store hands out whole values."
    )
    plaintext_reason: str | None = Field(
        None,
        min_length=1,
        max_length=300,
        description="Why requests to the auth service, MLflow or Redis on another machine may go unencrypted (`http:`, "
        "`redis:`), such as `a private network of these containers alone`; unset: the server does not start with such "
        "a URL.",
    )

    public_url: str | None = Field(None, description="The URL that clients use. It is shown on the home page.")
    auth_public_url: str | None = Field(
        None,
        description="The auth service's URL as people use it. A registry names it to clients that ask it for keys.",
    )
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (),
        description="Networks of proxies, separated by commas. The last address in the `X-Forwarded-For` of a request "
        "from one of them is the client's.",
    )
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="Port on which `/metrics` is also served without a key."
    )
    drain_seconds: float = Field(
        30,
        ge=0,
        description="Seconds that requests in progress may take to finish after SIGTERM. The process has ended at most "
        "five seconds later.",
    )
    metrics_workspaces: int = Field(
        100,
        ge=0,
        le=1000,
        description="How many workspaces have metrics of their own; further ones are counted together as `_other`.",
    )
    audit_days: int = Field(
        365, ge=0, le=36500, description="Days for which rows of the audit trail are kept; 0: forever."
    )
    fsck_hours: float = Field(
        24,
        ge=0,
        le=8760,
        description="Hours between two comparisons of stored files with their records, in the background; 0: never.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe level that is logged."
    )
    log_format: Literal["text", "json"] = Field(
        "text",
        description="How the log is written: lines of text, or one JSON object a line, also for each request that was "
        "answered.",
    )

    @field_validator("environments", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("address_rate", "key_rate", "workspace_rate", "guess_rate")
    @classmethod
    def _rate(cls, value: str) -> str:
        if not re.fullmatch(r"[1-9][0-9]{0,9}/(second|minute|hour|day)", value):
            raise ValueError("it is not COUNT/PERIOD with second, minute, hour or day, such as 1000/hour")
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _REDIS.match(value.get_secret_value()):
            raise ValueError("it is not a redis://, rediss:// or unix:// URL")
        return value

    @property
    def quota(self) -> Quota:
        """The quota of a workspace that has none of its own, except its rate, which the gateway limits."""
        return Quota(bytes=self.workspace_max_bytes, files=self.workspace_max_files, models=self.workspace_max_models)

    @property
    def pepper(self) -> bytes:
        return self.key_pepper.get_secret_value().encode() if self.key_pepper else b""

    @property
    def own_database_url(self) -> str:
        return self.database_url or f"sqlite:///{self.data.resolve() / 'hokusai.db'}"

    @property
    def mlflow_database_url(self) -> str:
        if self.tracking_database_url:
            return self.tracking_database_url
        if self.database_url and not self.database_url.startswith("sqlite"):
            return self.database_url
        return f"sqlite:///{self.data.resolve() / 'mlflow.db'}"

    @property
    def store_url(self) -> str:
        return self.artifacts_url or (self.data.resolve() / "artifacts").as_uri()


#: Settings of earlier versions. One that is still set must not silently do nothing.
REMOVED = {
    "HOKUSAI_TRACKING_THREADS": "it was removed, as MLflow runs in child processes now; "
    "set HOKUSAI_TRACKING_PROCESSES instead, or neither",
}


def load(**given: object) -> Settings:
    """Settings from the environment, overridden by ``given`` (command-line options).

    Raises ``errors.SettingInvalid`` for the first setting that is not valid, or does not exist any more.
    """
    for removed in REMOVED.keys() & os.environ.keys():
        raise errors.SettingInvalid(setting=removed, reason=REMOVED[removed])
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = "HOKUSAI_" + "_".join(str(part) for part in first["loc"][:1]).upper()
        raise errors.SettingInvalid(setting=name, reason=first["msg"]) from None
