"""An S3 bucket, reached the way Amazon's own tools would reach it.

Everything but bucket and prefix is the environment's, under its usual names (AWS SDKs and Tools
Reference Guide): ``AWS_ACCESS_KEY_ID`` and its kin, a web identity, a container's or an instance's
role, ``AWS_REGION``, ``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL``,
``AWS_VIRTUAL_HOSTED_STYLE_REQUEST``, ``AWS_SERVER_SIDE_ENCRYPTION``. obstore reads them. A profile
(``AWS_PROFILE``) is boto3's to read, where that is installed.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from obstore import exceptions
from obstore.store import S3Store

from hokusai import errors

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


def bucket(name: str, prefix: str, environ: Mapping[str, str], *, seconds: float = 30) -> S3Store:
    """The bucket, below a prefix. Nothing is asked of it yet.

    A request fails that is silent for ``seconds``; it is tried again while less than half of that
    has passed. Raises ``errors.SettingInvalid``.
    """
    _forget_empty()
    try:
        return S3Store(
            name,
            prefix=prefix or None,
            client_options=_client(environ, seconds),
            retry_config=_retry(seconds),
            credential_provider=_profile(environ),
        )
    except (exceptions.BaseError, ValueError) as error:
        raise _unusable("AWS_*", str(error).partition("\n")[0]) from None


def _forget_empty() -> None:
    """An endpoint that is set and empty is none, as Amazon's own tools have it; obstore 0.12 would end the process."""
    for name in _ENDPOINTS:
        if os.environ.get(name) == "":
            del os.environ[name]


def _client(environ: Mapping[str, str], seconds: float) -> ClientConfig:
    """Plain HTTP is for an endpoint that says so. ``timeout`` would cut long downloads: ``read_timeout`` does not."""
    endpoint = next((environ[name] for name in _ENDPOINTS if environ.get(name)), "")
    return {
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=min(5, seconds)),
        "read_timeout": timedelta(seconds=seconds),
        "timeout": timedelta(days=7),
    }


def _retry(seconds: float) -> RetryConfig:
    backoff: Any = {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=2), "base": 2}
    return {"max_retries": 4, "retry_timeout": timedelta(seconds=seconds / 2), "backoff": backoff}


def _profile(environ: Mapping[str, str]) -> Any:
    """What reads the profile that is asked for by name; None where keys are given, or no profile is."""
    if not environ.get("AWS_PROFILE") or environ.get("AWS_ACCESS_KEY_ID"):
        return None
    try:
        return importlib.import_module("obstore.auth.boto3").Boto3CredentialProvider()
    except ImportError:
        raise _unusable("AWS_PROFILE", "boto3 reads profiles, and is not installed: pip install boto3") from None
    except Exception as error:  # botocore's errors have no root that may be imported without it
        raise _unusable("AWS_PROFILE", str(error)) from None


def _unusable(setting: str, reason: str) -> errors.SettingInvalid:
    return errors.SettingInvalid(setting=setting, reason=reason.rstrip("."))
