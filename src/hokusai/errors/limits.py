"""Rates, quotas and load (HK13)."""

from __future__ import annotations

from hokusai.errors.base import BadRequest, TooLarge, TooMany, Unavailable


class AddressRateExceeded(
    TooMany,
    code="HK1301",
    message="gateway: this address has sent too many requests: its limit of {limit} is used up.",
    remedy="Wait {retry_after} seconds, then send fewer requests at a time.",
):
    """``HOKUSAI_ADDRESS_RATE``, counted before any key is looked up.

    Requests with a key that was good from this address in the last ten minutes are counted apart from all others, so a
    neighbour without a key cannot use up their rate.
    """

    policy = "address"


class KeyRateExceeded(
    TooMany,
    code="HK1302",
    message="gateway: this key has sent too many requests: its limit of {limit} is used up.",
    remedy="Wait {retry_after} seconds, or ask the operator for a higher rate.",
):
    """The key's own rate, or ``HOKUSAI_KEY_RATE`` where it has none."""

    policy = "key"


class Draining(
    Unavailable,
    code="HK1303",
    message="gateway: this server is shutting down and does not accept new requests.",
    remedy="Send the request again: another server, or this one after its restart, will answer.",
):
    """The server received SIGTERM: requests in progress finish, new ones are refused."""


class Busy(
    Unavailable,
    code="HK1304",
    retry_after=1,
    message="{layer}: too many requests are waiting already.",
    remedy="Send the request again in a moment. Operator: add workers or replicas.",
):
    """A bounded queue is full. Refusing early keeps the waiting time of the others short."""

    layer: str


class WorkspaceRateExceeded(
    TooMany,
    code="HK1305",
    message="gateway: the keys of this workspace have sent too many requests: their limit of {limit} is used up.",
    remedy="Wait {retry_after} seconds, or ask the operator for a higher rate.",
):
    """All keys of a workspace share one rate: its own, or ``HOKUSAI_WORKSPACE_RATE``."""

    policy = "workspace"


class GuessRateExceeded(
    TooMany,
    code="HK1306",
    message="gateway: too many invalid keys were sent: the limit of {limit} is used up.",
    remedy="Wait {retry_after} seconds, then send a valid key. The key of this request was not looked up.",
):
    """Refused keys are counted for each address, and for each key that exists (``HOKUSAI_GUESS_RATE``)."""

    policy = "guesses"


class UploadsExceeded(
    TooMany,
    code="HK1307",
    retry_after=1,
    message="artifacts: this workspace has {limit} uploads in progress on this server, which is its limit.",
    remedy="Wait until one has finished, and send fewer at a time.",
):
    """``HOKUSAI_WORKSPACE_UPLOADS``, counted in each server process: one workspace cannot take every connection."""

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
    remedy="Add a version to an existing model, delete a model, or ask the operator for a larger quota.",
):
    """``hokusai workspaces set NAME --max-models``, or ``HOKUSAI_WORKSPACE_MAX_MODELS``."""

    limit: int
    left: int


class BodyTooSlow(
    BadRequest,
    code="HK1311",
    status=408,
    message="gateway: the body arrives too slowly: {received} bytes in {seconds:g} seconds of waiting for it.",
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
    remedy="Requests are still served. Operator: check HOKUSAI_REDIS_URL.",
):
    """Shown by ``/ready``; no request is refused because of it."""


class NamesQuotaExceeded(
    TooLarge,
    code="HK1370",
    message="artifacts: the paths of this workspace's files may have {limit} names in all, and {left} are left.",
    remedy="Nothing was kept. Use shorter paths, delete what is no longer needed, or ask the operator for a larger "
    "quota.",
):
    """A file in nested directories takes a place in the store for each of them, so the names in its path are counted,
    the file's own included: on average eight for each file of the workspace's quota of files.
    """

    limit: int
    left: int


class TrackingBytesExceeded(
    TooLarge,
    code="HK1371",
    message="tracking: the workspace's quota is {limit} bytes: {left} are left, and {needed} are needed.",
    remedy="Nothing was changed. Delete files that are no longer needed, or ask the operator for a larger quota.",
):
    """What requests store in MLflow is counted together with the files (``hokusai workspaces set NAME --max-bytes``, or
    ``HOKUSAI_WORKSPACE_MAX_BYTES``): each body, and at least 512 bytes. What was stored stays counted when a run or a
    model is deleted, for MLflow keeps it. Runs can still be ended.
    """

    limit: int
    left: int
    needed: int
