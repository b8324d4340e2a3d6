"""Rates, quotas and load (HK13)."""

from __future__ import annotations

from hokusai.errors.base import BadRequest, TooLarge, TooMany, Unavailable


class AddressRateExceeded(
    TooMany,
    code="HK1301",
    message="gateway: too many requests from this address: the limit is {limit}, and nothing is left of it.",
    remedy="Wait {retry_after} seconds, then send fewer at a time.",
):
    """The bound before any key is looked at."""

    policy = "address"


class KeyRateExceeded(
    TooMany,
    code="HK1302",
    message="gateway: this key has used up its rate: the limit is {limit}, and nothing is left of it.",
    remedy="Wait {retry_after} seconds, or ask the operator for a higher rate.",
):
    """The rate written on the key."""

    policy = "key"


class Draining(
    Unavailable,
    code="HK1303",
    message="gateway: this server is shutting down and takes no new requests.",
    remedy="Send the request again: another server, or this one restarted, will take it.",
):
    """SIGTERM arrived: what is under way finishes, nothing new begins."""


class Busy(
    Unavailable,
    code="HK1304",
    retry_after=1,
    message="{layer}: more requests are waiting than this server takes on.",
    remedy="Send the request again in a moment; the operator can add workers or replicas.",
):
    """A bounded queue is full; refusing early keeps the rest quick."""

    layer: str


class WorkspaceRateExceeded(
    TooMany,
    code="HK1305",
    message="gateway: the workspace has used up its rate: the limit for all its keys is {limit}, and nothing is left.",
    remedy="Wait {retry_after} seconds, or ask the operator for a higher rate.",
):
    """All keys of a workspace share one rate: its own, or ``HOKUSAI_WORKSPACE_RATE``."""

    policy = "workspace"


class GuessRateExceeded(
    TooMany,
    code="HK1306",
    message="gateway: too many keys that are not good: the limit is {limit}, and nothing is left of it.",
    remedy="Wait {retry_after} seconds, then send a key that works; nothing was looked up.",
):
    """Refused keys are counted for each address, and for each key that is known (``HOKUSAI_GUESS_RATE``)."""

    policy = "guesses"


class UploadsExceeded(
    TooMany,
    code="HK1307",
    retry_after=1,
    message="artifacts: this workspace has {limit} uploads under way here, which is the limit: none is left.",
    remedy="Wait until one has ended, and send fewer at a time.",
):
    """``HOKUSAI_WORKSPACE_UPLOADS``, in one server process: one team cannot take every connection."""

    policy = "uploads"


class BytesQuotaExceeded(
    TooLarge,
    code="HK1308",
    message="artifacts: the workspace's quota is {limit} bytes: {left} are left, and {needed} are needed.",
    remedy="Nothing was kept. Delete what is no longer needed, or ask the operator for a larger quota.",
):
    """``hokusai workspaces set NAME --max-bytes``, or ``HOKUSAI_WORKSPACE_MAX_BYTES``."""

    limit: int
    left: int
    needed: int


class FilesQuotaExceeded(
    TooLarge,
    code="HK1309",
    message="artifacts: the workspace's quota is {limit} files, and {left} are left.",
    remedy="Nothing was kept. Delete what is no longer needed, or ask the operator for a larger quota.",
):
    """``hokusai workspaces set NAME --max-files``, or ``HOKUSAI_WORKSPACE_MAX_FILES``."""

    limit: int
    left: int


class ModelsQuotaExceeded(
    TooLarge,
    code="HK1310",
    message="tracking: the workspace's quota is {limit} registered models, and {left} are left.",
    remedy="Add a version to a model that exists, delete one, or ask the operator for a larger quota.",
):
    """``hokusai workspaces set NAME --max-models``, or ``HOKUSAI_WORKSPACE_MAX_MODELS``."""

    limit: int
    left: int


class BodyDripping(
    BadRequest,
    code="HK1311",
    status=408,
    message="gateway: the body arrives too slowly: {received} bytes in {seconds} seconds of waiting for it.",
    remedy="Send at least {rate:g} bytes a second; check the network between the client and this server.",
):
    """Less than ``HOKUSAI_BODY_MIN_RATE`` on average. Only time spent waiting for the client counts."""

    received: int
    seconds: float
    rate: float


class RedisDown(
    Unavailable,
    code="HK1312",
    message="gateway: Redis does not answer, so each process counts rates on its own.",
    remedy="Requests are served. Operator: see HOKUSAI_REDIS_URL.",
):
    """Shown by ``/ready``; no request is refused for it."""
