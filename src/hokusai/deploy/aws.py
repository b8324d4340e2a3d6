"""AWS for a release: one call, with boto3's errors translated to ours."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

from hokusai import errors

T = TypeVar("T")

_BAD_CREDENTIALS = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure"}
)


class Aws:
    """An account, in the given region, else that of AWS_REGION, else that of the profile.

    ``aws("ecs", "describe_services", …)`` is one call of boto3. The constructor raises ``errors.DeployExtraMissing``,
    ``RegionMissing`` or ``CredentialsMissing``; a call raises ``CloudRefused`` or ``CloudUnreachable``. ``until`` polls
    every ``pause`` seconds.
    """

    def __init__(self, region: str | None = None, *, pause: float = 5.0) -> None:
        try:
            import boto3
        except ModuleNotFoundError as error:
            raise errors.DeployExtraMissing(module=error.name or str(error)) from None
        session = boto3.Session(region_name=region or os.environ.get("AWS_REGION") or None)
        if not session.region_name:
            raise errors.RegionMissing
        self.region: str = session.region_name
        self.pause = pause
        self._session = session
        self._clients: dict[str, Any] = {}
        self.account: str = self("sts", "get_caller_identity")["Account"]

    def __call__(self, service: str, operation: str, /, **facts: Any) -> Any:
        """Raises ``errors.CloudRefused``, whose fact ``kind`` is AWS's error code."""
        from botocore import exceptions

        try:
            return getattr(self._client(service), operation)(**facts)
        except exceptions.ClientError as error:
            raise _refused(f"{service} {operation}", error.response["Error"]) from None
        except (
            exceptions.NoCredentialsError,
            exceptions.CredentialRetrievalError,
            exceptions.TokenRetrievalError,
        ) as error:
            raise errors.CredentialsMissing(reason=_plain(str(error))) from None
        except exceptions.BotoCoreError as error:
            raise errors.CloudUnreachable(reason=_plain(str(error))) from None

    def until(self, look: Callable[[], T | None], *, seconds: float) -> T | None:
        """The first result of ``look`` that is not None; None after ``seconds``."""
        end = time.monotonic() + seconds
        while (found := look()) is None and time.monotonic() < end:
            time.sleep(self.pause)
        return found

    def _client(self, service: str) -> Any:
        from botocore import exceptions
        from botocore.config import Config

        if service not in self._clients:
            config = Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard", "max_attempts": 5})
            try:
                self._clients[service] = self._session.client(service, config=config)
            except exceptions.BotoCoreError as error:  # a profile that does not exist
                raise errors.CredentialsMissing(reason=_plain(str(error))) from None
        return self._clients[service]


def _refused(operation: str, found: dict[str, str]) -> errors.DeployError:
    kind, reason = found.get("Code", "unknown"), _plain(found.get("Message", ""))
    if kind in _BAD_CREDENTIALS:
        return errors.CredentialsMissing(reason=f"{kind}, {reason}")
    return errors.CloudRefused(operation=operation, reason=f"{kind}, {reason}", kind=kind)


def _plain(text: str) -> str:
    return " ".join(text.split()).rstrip(".")[:400]
