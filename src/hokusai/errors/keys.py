"""The key itself (HK11)."""

from __future__ import annotations

from hokusai.errors.base import BadRequest, Unauthorized


class KeyMissing(
    Unauthorized,
    code="HK1101",
    message="gateway: no API key was sent.",
    remedy="Set MLFLOW_TRACKING_TOKEN to your key, or send 'Authorization: Bearer hk_live_…'.",
):
    """Neither ``Authorization`` nor ``X-API-Key`` carried a key."""


class KeyMalformed(
    Unauthorized,
    code="HK1102",
    message="gateway: this is not a Hokusai API key: {reason}.",
    remedy="Copy the whole key again: it starts with hk_live_ or hk_test_ and has 46 characters.",
):
    """The prefix, the length or the checksum is wrong: a typing error, or a key of another product."""

    reason: str


class KeyUnknown(
    Unauthorized,
    code="HK1103",
    message="auth: this API key is not known here.",
    remedy="Check that the key was issued by this server; ask its operator for a new one.",
):
    """The key is well-formed, but this deployment never issued it."""


class KeyExpired(
    Unauthorized,
    code="HK1104",
    message="auth: the API key expired on {expired_at}.",
    remedy="Ask the operator for a new key, and rotate that one before it expires.",
):
    """The key was valid until then."""

    expired_at: str


class KeyRevoked(
    Unauthorized,
    code="HK1105",
    message="auth: the API key has been revoked.",
    remedy="Ask the operator for a new key.",
):
    """The key was revoked, or it was rotated and the overlap with its successor is over."""


class KeyInUrl(
    BadRequest,
    code="HK1106",
    message="gateway: the URL contains an API key, and proxies and logs keep URLs.",
    remedy="Revoke that key now, create a new one, and send it in the Authorization header.",
):
    """Keys are accepted only in headers."""


class KeyAmbiguous(
    BadRequest,
    code="HK1107",
    message="gateway: two different API keys were sent with one request.",
    remedy="Send one key, in one header.",
):
    """``Authorization`` and ``X-API-Key``, or a header and the body, hold different keys."""


class CallerKeyMissing(
    Unauthorized,
    code="HK1109",
    message="gateway: only a service key may ask whether another key is valid, and none was sent.",
    remedy="Send your own service key in X-API-Key, and the key to validate in Authorization: Bearer or as api_key.",
):
    """The caller is identified before the key to validate is looked up, so that strangers cannot test keys."""
