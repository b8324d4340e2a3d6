"""Every setting of the server: one name, type, default and sentence.

The name in the environment is ``HOKUSAI_`` and the field's name in capitals. The reference page is
generated from this file. Only the composition root and the CLI read settings; every other room is
handed what it needs.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from hokusai import errors
from hokusai.identity import Quota

Role = Literal["all", "auth", "registry"]

#: With a port that is a number, or none.
_REDIS = re.compile(r"unix://|rediss?://(?:[^/@]*@)?(?:\[[^]]*\]|[^/:@?#]*)(?::[0-9]+)?(?:[/?#]|$)")


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="HOKUSAI_", extra="ignore", frozen=True)

    data: Path = Field(Path("hokusai-data"), description="Directory for everything the embedded default keeps.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(5050, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    role: Role = Field("all", description="`all`, or one half of a two-host deployment: `auth` or `registry`.")
    workers: int = Field(1, ge=1, le=64, description="Server processes.")

    database_url: str | None = Field(
        None,
        description="`sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`; unset: `DATA/hokusai.db`.",
    )
    tracking_database_url: str | None = Field(
        None,
        description="Where MLflow in this process keeps its tables; unset: the same PostgreSQL, or `DATA/mlflow.db`.",
    )
    tracking_url: str | None = Field(
        None, description="A separate MLflow server, workspaces enabled; unset: MLflow in this process."
    )
    tracking_timeout: float = Field(60, gt=0, description="Seconds MLflow has for one answer.")
    tracking_processes: int = Field(
        3,
        ge=1,
        le=64,
        description="Child processes that run MLflow, for each server process; one workspace has at most all but one.",
    )
    tracking_memory_bytes: int = Field(
        256 * 2**20,
        ge=2**20,
        description="Bytes of memory that one request to MLflow may take; past it, the request is refused.",
    )
    artifacts_url: str | None = Field(
        None,
        description="`file:///DIR`, `s3://BUCKET/PREFIX` (docs/how-to/grow.md) or `memory://` (a trial: gone at exit); "
        "unset: `DATA/artifacts`.",
    )
    max_upload_bytes: int = Field(64 * 2**30, ge=1, description="Largest artifact, in bytes.")
    max_json_bytes: int = Field(4 * 2**20, ge=1024, description="Largest JSON body, in bytes.")
    body_idle_seconds: float = Field(30, gt=0, description="Seconds a client may stop sending inside a body.")
    body_min_rate: int = Field(
        1024, ge=1, description="Bytes a second that a body must arrive with, on average, after its first minute."
    )
    workspace_max_bytes: int = Field(
        2**40, ge=0, description="Bytes of artifacts in a workspace without a quota of its own."
    )
    workspace_max_files: int = Field(
        1_000_000, ge=0, description="Artifacts in a workspace without a quota of its own."
    )
    workspace_max_models: int = Field(
        1_000, ge=0, description="Registered models in a workspace without a quota of its own."
    )
    workspace_uploads: int = Field(
        32, ge=1, description="Uploads that a workspace may have under way in one server process."
    )

    auth_url: str | None = Field(None, description="A separate auth service; unset: keys are kept by this server.")
    auth_service_key: SecretStr | None = Field(
        None,
        description="The key with which this server asks the auth service (permission set `service`). At the auth "
        "service, `hokusai migrate` makes it known.",
    )
    auth_timeout: float = Field(5, gt=0, description="Seconds the auth service has for one answer.")
    service_id: str = Field("platform", description="The service this server is; keys name theirs.")
    environments: Annotated[frozenset[Literal["live", "test"]], NoDecode] = Field(
        frozenset({"live", "test"}), description="Which keys are accepted: `live`, `test` or `live,test`."
    )
    key_pepper: SecretStr | None = Field(
        None, description="Secret mixed into stored key digests; all replicas need the same, for ever."
    )
    operator_key: SecretStr | None = Field(
        None, description="An operator key made elsewhere, which `hokusai migrate` makes known to the auth service."
    )
    key_cache_seconds: float = Field(
        1.5, ge=0, le=2, description="How long an identified key is remembered; bounds revocation elsewhere."
    )
    address_rate: str = Field("20000/minute", description="Requests one address may send, as `COUNT/PERIOD`.")
    key_rate: str = Field("100000/hour", description="Requests a key may send when it carries no rate of its own.")
    workspace_rate: str = Field(
        "200000/hour", description="Requests that all keys of a workspace may send, where its quota names no rate."
    )
    guess_rate: str = Field(
        "60/minute", description="Keys that are not good which one address may send, before it must wait."
    )
    redis_url: SecretStr | None = Field(
        None,
        description="`redis://HOST:6379/0` (or `rediss:`, `unix:`) counts rates for all processes and replicas "
        "together; unset: each process counts its own.",
    )

    public_url: str | None = Field(None, description="The URL clients use, as shown on the home page.")
    auth_public_url: str | None = Field(
        None, description="The auth service's URL as people use it, told to those who ask a registry for keys."
    )
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (), description="Networks of proxies whose `X-Forwarded-For` is believed, comma-separated."
    )
    metrics_port: int | None = Field(None, ge=1, le=65535, description="Serve `/metrics` there without a key as well.")
    drain_seconds: float = Field(30, ge=0, description="How long what is under way may take after SIGTERM.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged.")

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
            raise ValueError("it is no redis://, rediss:// or unix:// URL")
        return value

    @property
    def quota(self) -> Quota:
        """What bounds a workspace that has no quota of its own. Its rate is kept by the gateway."""
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


def load(**given: object) -> Settings:
    """Settings from the environment, with ``given`` (command-line options) before them.

    Raises ``errors.SettingInvalid`` naming the first setting that cannot be used.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = "HOKUSAI_" + "_".join(str(part) for part in first["loc"][:1]).upper()
        raise errors.SettingInvalid(setting=name, reason=first["msg"]) from None
