"""Errors of an object store, translated to ours.

An object store's own messages contain hosts, buckets and keys, and an answer to a bad credential repeats the
credential. One line of such a message goes into the log, and nothing of it into an error.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from obstore import exceptions

from hokusai import errors
from hokusai.artifacts.stores import store_errors

log = logging.getLogger("hokusai.artifacts")

#: By the ``Code`` of an error (Amazon S3 API reference, "Error responses"; MinIO's and STS's own).
_CODES: Mapping[str, Callable[[], errors.HokusaiError]] = {
    "NoSuchBucket": errors.ArtifactStoreMissing,
    **dict.fromkeys(
        (
            "ExpiredToken",
            "ExpiredTokenException",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidIdentityToken",
            "InvalidSecurity",
            "InvalidToken",
            "NotSignedUp",
            "RequestTimeTooSkewed",
            "SignatureDoesNotMatch",
            "TokenRefreshRequired",
        ),
        errors.ArtifactStoreCredentials,
    ),
    **dict.fromkeys(
        (
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException",
            "PermanentRedirect",
            "Redirect",
            "TemporaryRedirect",
        ),
        errors.ArtifactStoreElsewhere,
    ),
    **dict.fromkeys(
        ("RequestLimitExceeded", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests"),
        errors.ArtifactStoreBusy,
    ),
    **dict.fromkeys(("InsufficientStorage", "QuotaExceeded", "XMinioStorageFull"), errors.ArtifactStoreFull),
}
_STATUSES: Mapping[int | None, Callable[[], errors.HokusaiError]] = {
    301: errors.ArtifactStoreElsewhere,
    307: errors.ArtifactStoreElsewhere,
    401: errors.ArtifactStoreCredentials,
    429: errors.ArtifactStoreBusy,
    503: errors.ArtifactStoreBusy,
    507: errors.ArtifactStoreFull,
}

_CODE = re.compile(r"<Code>(\w+)</Code>|\(code: (\w+)\)")
_STATUS = re.compile(r"status code: (\d{3})")
_KIND = re.compile(r"HttpError \{\s+kind: (\w+)")
#: A request for credentials that failed: to the metadata services of EC2, ECS and EKS, or to STS.
_CREDENTIALS = re.compile(r"Error performing \w+ (?:REDACTED|http://169\.254\.|\S*/latest/(?:api/token|meta-data/))")


@contextmanager
def translate_errors(action: str) -> Iterator[None]:
    """Turns what the store raises in the block into an error of ours. ``action``: read, write, list or delete."""
    try:
        yield
    except (exceptions.BaseError, OSError) as error:  # TimeoutError is one
        log.error("the artifact store failed to %s: %s", action, _line(error))
        raise _translated(action, error) from None


def status_of(error: Exception) -> int | None:
    """The HTTP status of the store's answer, where there was one."""
    found = _STATUS.search(str(error))
    return int(found[1]) if found else None


def _translated(action: str, error: Exception) -> errors.HokusaiError:
    text, code = str(error), _code(str(error))
    if code == "KeyTooLongError":
        return store_errors.name_too_long()
    if code in _CODES:
        return _CODES[code]()
    if _CREDENTIALS.search(text):
        return errors.ArtifactStoreCredentials()
    if "Received redirect" in text:
        return errors.ArtifactStoreElsewhere()
    if isinstance(error, exceptions.PermissionDeniedError) or code == "AccessDenied":
        return store_errors.denied(action)
    return _STATUSES.get(status_of(error), errors.ArtifactStoreDown)()


def _code(text: str) -> str:
    found = _CODE.search(text)
    return (found[1] or found[2]) if found else ""


def _line(error: Exception) -> str:
    """The request and its result, without the body of the answer."""
    text = str(error)
    line = re.split(r"<\?xml|<Error|\n", text)[0].strip() or repr(error)
    kind = _KIND.search(text)
    told = [part for part in (_code(text), kind[1] if kind else "") if part]
    return f"{line} [{', '.join(told)}]" if told else line
