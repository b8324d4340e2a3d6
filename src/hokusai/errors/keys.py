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
    message="gateway: what was sent is not an API key of this product: {reason}.",
    remedy="Copy the whole key again: it starts with hk_live_ or hk_test_ and has 46 characters.",
):
    """Prefix, length or checksum do not fit: a typing error, or a key of another product."""

    reason: str


class KeyUnknown(
    Unauthorized,
    code="HK1103",
    message="auth: this API key is not known here.",
    remedy="Check that the key belongs to this server; ask its operator for a new one.",
):
    """Well-formed, but never issued by this deployment."""


class KeyExpired(
    Unauthorized,
    code="HK1104",
    message="auth: the API key expired on {expired_at}.",
    remedy="Ask the operator for a new key; next time rotate it before that day.",
):
    """The key was good once and its time is over."""

    expired_at: str


class KeyRevoked(
    Unauthorized,
    code="HK1105",
    message="auth: the API key has been revoked.",
    remedy="Ask the operator for a new key.",
):
    """The key was taken back, or its overlap after a rotation is over."""


class KeyInUrl(
    BadRequest,
    code="HK1106",
    message="gateway: an API key stands in the URL, where proxies and logs keep it.",
    remedy="Revoke that key now, make a new one, and send it in the Authorization header.",
):
    """Keys are accepted in headers alone."""


class KeyAmbiguous(
    BadRequest,
    code="HK1107",
    message="gateway: two different API keys were sent with one request.",
    remedy="Send one key, in one header.",
):
    """``Authorization`` and ``X-API-Key`` (or header and body) disagree."""


class CallerKeyMissing(
    Unauthorized,
    code="HK1109",
    message="gateway: whoever has a key validated must say who asks.",
    remedy="Send your own service key in X-API-Key, and the key to validate in Authorization: Bearer or as api_key.",
):
    """Validation is not an oracle for strangers: the caller is identified before the candidate is looked at."""
