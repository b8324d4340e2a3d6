"""An S3 bucket, configured as for Amazon's own tools.

Everything except bucket and prefix comes from the environment, under its usual names (AWS SDKs and Tools Reference
Guide): ``AWS_ACCESS_KEY_ID`` and the other credentials, a web identity, the role of a container or an instance,
``AWS_REGION``, ``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL``, ``AWS_VIRTUAL_HOSTED_STYLE_REQUEST``,
``AWS_SERVER_SIDE_ENCRYPTION``. obstore reads them, except a profile (``AWS_PROFILE``), which boto3 reads where it is
installed.
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
    """The bucket, below a prefix. Sends no request yet.

    A request fails when no byte arrives for ``seconds``. It is retried during half that time. Raises
    ``errors.SettingInvalid``.
    """
    _unset_empty_endpoints()
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


def _unset_empty_endpoints() -> None:
    """As in Amazon's own tools, an empty endpoint counts as unset. obstore 0.12 would end the process."""
    for name in _ENDPOINTS:
        if os.environ.get(name) == "":
            del os.environ[name]


def _client(environ: Mapping[str, str], seconds: float) -> ClientConfig:
    """Plain HTTP only for an endpoint with ``http://``. ``timeout`` would end long downloads, ``read_timeout`` not."""
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
    """The reader of the profile in ``AWS_PROFILE``; None where there is no profile, or keys are given as well."""
    if not environ.get("AWS_PROFILE") or environ.get("AWS_ACCESS_KEY_ID"):
        return None
    try:
        return importlib.import_module("obstore.auth.boto3").Boto3CredentialProvider()
    except ImportError:
        raise _unusable(
            "AWS_PROFILE", "profiles are read by boto3, which is not installed: pip install boto3"
        ) from None
    except Exception as error:  # the base class of botocore's errors cannot be imported here
        raise _unusable("AWS_PROFILE", str(error)) from None


def _unusable(setting: str, reason: str) -> errors.SettingInvalid:
    return errors.SettingInvalid(setting=setting, reason=reason.rstrip("."))
