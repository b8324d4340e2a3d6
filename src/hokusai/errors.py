"""Every error this product can return: one row per code.

    HokusaiError
    ├── BadRequest    400   the request cannot be understood
    ├── Unauthorized  401   the key is missing, malformed, unknown, expired or revoked
    ├── Forbidden     403   the key is good and lacks the permission, the service or the address
    ├── NotFound      404   no such thing in this workspace, or no such route
    ├── Conflict      409   the name exists, or the files are sealed
    ├── TooLarge      413   a body passes its bound
    ├── Unsatisfiable 416   a range lies outside the file
    ├── TooMany       429   a rate is used up
    ├── Fault         500   we, or a part behind us, went wrong
    ├── NotOffered    501   a way of MLflow's that this product does without
    ├── Unavailable   503   a dependency is down, slow or full, named, with Retry-After
    ├── Full          507   the disk or the bucket has no room
    ├── StartError    –     the server refuses to start (exit code 2)
    ├── BackupError   –     a backup could not be made, or is not restored (exit code 1)
    ├── ClientError   –     found by the SDK or the CLI before or without an answer
    └── DeployError   –     a release stopped, or did not begin

``message`` names the layer and what happened; ``remedy`` is what to do next. Both are templates,
filled with the keyword arguments the error is raised with. ``error_code`` is MLflow's vocabulary
(``databricks.proto``, ``ErrorCode``), so stock clients show ``message``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import ClassVar

#: Carries the code of an error beside its body, for logs and audits along the way.
CODE_HEADER = b"x-hokusai-code"

_KEY = re.compile(r"hk_(?:live|test)_[0-9A-Za-z]{8,}")


def masked(text: str) -> str:
    """``text`` with a few words in the place of each API key: for errors and logs."""
    return _KEY.sub("(an API key)", text)


class HokusaiError(Exception):
    """The root. A subclass with a ``code`` is a row; one without is a family.

    What a client sent may be among the facts; an API key in it is masked.
    """

    code: ClassVar[str] = ""
    status: ClassVar[int] = 500
    error_code: ClassVar[str] = "INTERNAL_ERROR"
    retry_after: ClassVar[int | None] = None
    message: ClassVar[str] = ""
    remedy: ClassVar[str] = ""

    def __init__(self, *, error_code: str | None = None, **facts: object) -> None:
        self.facts = {name: masked(fact) if isinstance(fact, str) else fact for name, fact in facts.items()}
        self.mlflow_code = error_code or self.error_code
        super().__init__(masked(self.message.format(**self.facts)))

    def __init_subclass__(
        cls,
        *,
        code: str = "",
        message: str = "",
        remedy: str = "",
        status: int | None = None,
        error_code: str = "",
        retry_after: int | None = None,
    ) -> None:
        cls.code = code
        cls.message = message or cls.message
        cls.remedy = remedy or cls.remedy
        cls.status = status or cls.status
        cls.error_code = error_code or cls.error_code
        cls.retry_after = retry_after or cls.retry_after

    @property
    def advice(self) -> str:
        """The remedy, filled in."""
        return self.remedy.format(**self.facts)

    @property
    def wait(self) -> int | None:
        """Seconds for ``Retry-After``: the fact ``retry_after`` where given, else the family's."""
        given = self.facts.get("retry_after")
        return given if isinstance(given, int) else self.retry_after

    def body(self, request_id: str) -> bytes:
        """The one JSON shape in which every error leaves this product."""
        shape = {
            "error_code": self.mlflow_code,
            "message": f"{self} {self.advice} (request {request_id})",
            "hokusai": {"code": self.code, "remedy": self.advice, "request_id": request_id},
        }
        return json.dumps(shape, ensure_ascii=False).encode()

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Headers every error response carries beside ``X-Request-Id``."""
        headers = [
            (b"content-type", b"application/json"),
            (b"cache-control", b"no-store"),
            (CODE_HEADER, self.code.encode()),
        ]
        if self.wait is not None:
            headers.append((b"retry-after", str(self.wait).encode()))
        if self.status == 401:
            headers.append((b"www-authenticate", b'Bearer realm="hokusai"'))
        if self.status == 416:
            headers.append((b"content-range", f"bytes */{self.facts['size']}".encode()))
        return headers


# Families


class BadRequest(HokusaiError, status=400, error_code="INVALID_PARAMETER_VALUE"): ...


class Unauthorized(HokusaiError, status=401, error_code="UNAUTHENTICATED"): ...


class Forbidden(HokusaiError, status=403, error_code="PERMISSION_DENIED"): ...


class NotFound(HokusaiError, status=404, error_code="RESOURCE_DOES_NOT_EXIST"): ...


class Conflict(HokusaiError, status=409, error_code="RESOURCE_ALREADY_EXISTS"): ...


class TooLarge(HokusaiError, status=413, error_code="INVALID_PARAMETER_VALUE"): ...


class PreconditionFailed(HokusaiError, status=412, error_code="INVALID_STATE"): ...


class Unsatisfiable(HokusaiError, status=416, error_code="INVALID_PARAMETER_VALUE"): ...


class TooMany(HokusaiError, status=429, error_code="REQUEST_LIMIT_EXCEEDED", retry_after=60):
    """Facts: ``limit`` as people write it, ``quota``, ``window`` in seconds (None: at one time), ``retry_after``."""

    policy: ClassVar[str] = "default"

    def headers(self) -> list[tuple[bytes, bytes]]:
        """With ``RateLimit-Policy`` and ``RateLimit`` (draft-ietf-httpapi-ratelimit-headers-10)."""
        found = super().headers()
        if (quota := self.facts.get("quota")) is not None:
            window = self.facts.get("window")
            unit = 'qu="concurrent-requests"' if window is None else f"w={window}"
            found.append((b"ratelimit-policy", f'"{self.policy}";q={quota};{unit}'.encode()))
            found.append((b"ratelimit", f'"{self.policy}";r=0;t={self.wait}'.encode()))
        return found


class Fault(HokusaiError, status=500, error_code="INTERNAL_ERROR"): ...


class NotOffered(HokusaiError, status=501, error_code="NOT_IMPLEMENTED"): ...


class Unavailable(HokusaiError, status=503, error_code="TEMPORARILY_UNAVAILABLE", retry_after=5): ...


class Full(HokusaiError, status=507, error_code="RESOURCE_EXHAUSTED", retry_after=60): ...


class StartError(HokusaiError): ...


class BackupError(HokusaiError): ...


class ClientError(HokusaiError): ...


class DeployError(HokusaiError): ...


# HK10: the request, refused by the gateway


class RouteUnknown(
    NotFound,
    code="HK1001",
    error_code="ENDPOINT_NOT_FOUND",
    message="gateway: there is no route {method} {path}.",
    remedy="Only MLflow's tracking, registry and artifact routes are open; use {base} as MLFLOW_TRACKING_URI.",
):
    """The path or the method is not in the reviewed route table. What is not listed is denied."""


class PathMalformed(
    BadRequest,
    code="HK1002",
    message="gateway: the path is not in canonical form: {reason}.",
    remedy="Send each path segment once percent-encoded, without '.', '..', empty segments or backslashes.",
):
    """The path has more than one reading, so it is refused rather than guessed at."""


class QueryMalformed(
    BadRequest,
    code="HK1003",
    message="gateway: the query cannot be read: {reason}.",
    remedy="Send each parameter once, as UTF-8, percent-encoded.",
):
    """The query string is not valid UTF-8 percent-encoding, or names a parameter twice."""


class BodyUnreadable(
    BadRequest,
    code="HK1004",
    message="gateway: the body is no JSON object: {reason}.",
    remedy="Send one JSON object (RFC 8259) in UTF-8 with Content-Type: application/json.",
):
    """The body is no JSON, or JSON that is not one object."""


class BodyDuplicateName(
    BadRequest,
    code="HK1005",
    message="gateway: the JSON body names {name!r} twice.",
    remedy="Send each name once in an object.",
):
    """Two readers could each see another value, so the body is refused (RFC 8259, section 4)."""


class BodyDoublyEncoded(
    BadRequest,
    code="HK1006",
    message="gateway: the JSON body is a string that holds JSON: it was encoded twice.",
    remedy="Encode the body once: pass the object, not its text, to your HTTP library.",
):
    """MLflow would decode such a body twice; what was checked would not be what it reads."""


class BodyTooLarge(
    TooLarge,
    code="HK1007",
    message="gateway: the JSON body is larger than {limit} bytes.",
    remedy="Log in smaller batches; large values belong into artifacts.",
):
    """A JSON body passes ``HOKUSAI_MAX_JSON_BYTES``."""


class BodyUnexpected(
    BadRequest,
    code="HK1008",
    message="gateway: {method} {path} takes no body, and one was sent.",
    remedy="Send the parameters in the query, or use the method that takes a body.",
):
    """A body where the route has none: two places for one parameter."""


class BodyTooSlow(
    BadRequest,
    code="HK1009",
    status=408,
    message="gateway: the body did not arrive: nothing for {seconds} seconds.",
    remedy="Check the network between the client and this server, then send the request again.",
):
    """The client opened a request and stopped sending."""


class RequestMalformed(
    BadRequest,
    code="HK1010",
    message="gateway: this is no HTTP/1.1 request that can be served: {reason}.",
    remedy="Send it as RFC 9112 says: a path in ASCII, one length, no Upgrade beside a body.",
):
    """The bytes have no reading as a request, or more than one. The connection is closed."""


class HeadersTooLarge(
    BadRequest,
    code="HK1011",
    status=431,
    message="gateway: the request line and the headers are larger than {limit} bytes.",
    remedy="Send fewer or shorter headers; large values belong into the body.",
):
    """Also a chunked body's framing and trailers. The connection is closed."""


class HeadersTooSlow(
    BadRequest,
    code="HK1012",
    status=408,
    message="gateway: the headers were not complete after {seconds} seconds.",
    remedy="Check the network between the client and this server, then send the request again.",
):
    """The client opened a request and stopped sending. The connection is closed."""


class ListTooLong(
    TooLarge,
    code="HK1013",
    message="gateway: {name!r} lists more than {limit} items.",
    remedy="Send them in several requests of at most {limit} items each.",
):
    """A list in the query or the body is longer than any of MLflow's clients sends."""


# HK11: the key itself


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


# HK12: the key is good, and may not do this


class PermissionLacking(
    Forbidden,
    code="HK1201",
    message="gateway: this key lacks the permission {permission}.",
    remedy="Ask the operator for a key with {permission}.",
):
    """The route needs a permission that the key does not carry."""


class ServiceMismatch(
    Forbidden,
    code="HK1202",
    message="auth: this key is for the service {expected!r}, and {asked!r} asked.",
    remedy="Use a key issued for {asked!r}, or set HOKUSAI_SERVICE_ID to the service the keys name.",
):
    """The key was issued for another service."""


class AddressRefused(
    Forbidden,
    code="HK1203",
    message="auth: this key may not be used from {address}.",
    remedy="Call from an allowed network, or ask the operator to add this address to the key.",
):
    """The key carries a list of networks, and the caller is in none of them."""


class WorkspaceSuspended(
    Forbidden,
    code="HK1204",
    message="auth: the workspace {workspace} is suspended.",
    remedy="Ask the operator why, and to resume it.",
):
    """All keys of a suspended workspace are refused until it is resumed."""


class EnvironmentMismatch(
    Forbidden,
    code="HK1205",
    message="auth: this is a {environment} key, and this server accepts {accepted}.",
    remedy="Use a key made with --environment {accepted}.",
):
    """A test key on a live server, or the reverse."""


class WorkspaceNone(
    Forbidden,
    code="HK1206",
    message="gateway: an operator key belongs to no workspace, so it reaches no models.",
    remedy="Create a key for the workspace: hokusai keys create --workspace NAME --name NAME.",
):
    """Tenants' data is reached with a key of the tenant alone."""


class KeyEscalation(
    Forbidden,
    code="HK1207",
    message="auth: a key cannot make a key stronger than itself: {reason}.",
    remedy="Ask for less, or use a stronger key.",
):
    """More permissions, a later expiry, a higher rate, another workspace, service or network."""


# HK13: rates, quotas and load


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
    message="artifacts: this does not fit the workspace's quota of {limit} bytes: {left} are left, {asked} are needed.",
    remedy="Nothing was kept. Delete what is no longer needed, or ask the operator for a larger quota.",
):
    """``hokusai workspaces set NAME --max-bytes``, or ``HOKUSAI_WORKSPACE_MAX_BYTES``."""


class FilesQuotaExceeded(
    TooLarge,
    code="HK1309",
    message="artifacts: the workspace's quota is {limit} files, and {left} are left.",
    remedy="Nothing was kept. Delete what is no longer needed, or ask the operator for a larger quota.",
):
    """``hokusai workspaces set NAME --max-files``, or ``HOKUSAI_WORKSPACE_MAX_FILES``."""


class ModelsQuotaExceeded(
    TooLarge,
    code="HK1310",
    message="tracking: the workspace's quota is {limit} registered models, and {left} are left.",
    remedy="Add a version to a model that exists, delete one, or ask the operator for a larger quota.",
):
    """``hokusai workspaces set NAME --max-models``, or ``HOKUSAI_WORKSPACE_MAX_MODELS``."""


class BodyDripping(
    BadRequest,
    code="HK1311",
    status=408,
    message="gateway: the body arrives too slowly: {received} bytes in {seconds} seconds of waiting for it.",
    remedy="Send at least {rate} bytes a second; check the network between the client and this server.",
):
    """Less than ``HOKUSAI_BODY_MIN_RATE`` on average. Only time spent waiting for the client counts."""


class RedisDown(
    Unavailable,
    code="HK1312",
    message="gateway: Redis does not answer, so each process counts rates on its own.",
    remedy="Requests are served. Operator: see HOKUSAI_REDIS_URL.",
):
    """Shown by ``/ready``; no request is refused for it."""


# HK20: the auth service


class WorkspaceUnknown(
    NotFound,
    code="HK2001",
    message="auth: there is no workspace {workspace}.",
    remedy="List them with: hokusai workspaces list.",
): ...


class WorkspaceExists(
    Conflict,
    code="HK2002",
    message="auth: the workspace {workspace} exists already.",
    remedy="Choose another name, or use the one that exists.",
): ...


class WorkspaceNameInvalid(
    BadRequest,
    code="HK2003",
    message="auth: {workspace!r} is no workspace name: {reason}.",
    remedy="Use 2 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends.",
): ...


class KeyIdUnknown(
    NotFound,
    code="HK2004",
    message="auth: there is no key {key_id}.",
    remedy="List them with: hokusai keys list.",
): ...


class FieldInvalid(
    BadRequest,
    code="HK2005",
    message="auth: {field}: {reason}.",
    remedy="The fields are described at /api/v1/openapi.json.",
): ...


class AuthServiceDown(
    Unavailable,
    code="HK2006",
    message="auth: the auth service does not answer.",
    remedy="The key was not judged; send the request again. Operator: see HOKUSAI_AUTH_URL.",
):
    """Refused, unresolved, timed out or answered 5xx. Never taken for a bad key."""


class AuthServiceContract(
    Unavailable,
    code="HK2007",
    message="auth: the auth service answered in a form this server does not understand.",
    remedy="Operator: check HOKUSAI_AUTH_URL and HOKUSAI_AUTH_SERVICE_KEY, and that both run the same version.",
):
    """The wrong service, a proxy's page, or a service key that was refused."""


class AuthServiceElsewhere(
    NotFound,
    code="HK2008",
    error_code="ENDPOINT_NOT_FOUND",
    message="auth: keys and workspaces are kept by the auth service, not by this server.",
    remedy="Send the request to {url}.",
): ...


class KeyRetired(
    Conflict,
    code="HK2009",
    error_code="INVALID_STATE",
    message="auth: the key {key_id} is {state}, so it cannot be rotated.",
    remedy="Create a new key instead.",
):
    """A revoked, expired or already rotated key would come back to life, or fork."""


class KeysFull(
    Conflict,
    code="HK2010",
    error_code="RESOURCE_EXHAUSTED",
    message="auth: the workspace {workspace} has {limit} keys in use, and may have no more.",
    remedy="Revoke keys that are no longer needed: hokusai keys list, hokusai keys revoke.",
): ...


class WorkspaceDeleted(
    Conflict,
    code="HK2011",
    error_code="INVALID_STATE",
    message="auth: the workspace {workspace} was deleted, and its name is not given out again.",
    remedy="Choose another name.",
):
    """Under the same name, what it left behind would come to light."""


# HK30: tracking (MLflow)


class TrackingDown(
    Unavailable,
    code="HK3001",
    message="tracking: MLflow does not answer.",
    remedy="Send the request again in a moment. Operator: see /ready and HOKUSAI_TRACKING_URL.",
): ...


class TrackingTimeout(
    Unavailable,
    code="HK3002",
    message="tracking: MLflow did not answer within {seconds} seconds.",
    remedy="Send the request again. Operator: see /ready and the load on its database.",
): ...


class TrackingFault(
    Fault,
    code="HK3003",
    message="tracking: MLflow failed on this request.",
    remedy="Report the request id to the operator, whose log has the cause.",
):
    """MLflow answered 5xx. Its text may name hosts, files or SQL, so only the log has it."""


class TrackingRefused(
    BadRequest,
    code="HK3004",
    message="tracking: {reason}.",
    remedy="Correct the request as MLflow's message says.",
):
    """MLflow understood the request and refused it."""


class TrackingUnknown(
    NotFound,
    code="HK3005",
    message="tracking: {reason}.",
    remedy="Check the name or id; a key sees its own workspace alone.",
):
    """No such experiment, run, model or version in this workspace."""


class TrackingExists(
    Conflict,
    code="HK3006",
    message="tracking: {reason}.",
    remedy="Choose another name, or use the one that exists.",
):
    """The name is taken in this workspace."""


class TextUnprintable(
    BadRequest,
    code="HK3007",
    message="tracking: {name!r} holds a control character, a line break or a character that reorders text.",
    remedy="Use printable characters alone in names.",
):
    """A name that shows as another one, or writes lines of its own into a log (UAX 9, UTS 39)."""


class TextTooLong(
    BadRequest,
    code="HK3008",
    message="tracking: {name!r} is longer than {limit} characters.",
    remedy="Shorten it; what is long belongs into an artifact.",
):
    """Beyond what MLflow's tables hold, or what a filter may cost."""


class IdentifiersDiffer(
    BadRequest,
    code="HK3009",
    message="tracking: {one!r} and {other!r} name different things.",
    remedy="Send one of the two, or the same value in both.",
):
    """MLflow would believe one of them; which one depends on the route."""


class SourceForbidden(
    BadRequest,
    code="HK3010",
    message="tracking: this is no source for a model version here: {reason}.",
    remedy="Use runs:/RUN_ID/PATH, models:/NAME/VERSION, models:/MODEL_ID, or the mlflow-artifacts: address of a run's "
    "or logged model's files in this workspace.",
):
    """A version points at files of its own workspace alone; what is elsewhere is uploaded first."""


class ArtifactLocationFixed(
    BadRequest,
    code="HK3011",
    message="tracking: an experiment's artifact location is given by this server.",
    remedy="Leave artifact_location out; files are kept under the workspace's own root.",
):
    """A location of the client's choosing would lead out of the workspace."""


class TagReserved(
    BadRequest,
    code="HK3012",
    message="tracking: the tag {key!r} is reserved: it changes how MLflow treats what carries it.",
    remedy="Use a tag name of your own.",
):
    """Such tags redirect reads, or turn off checks on a version's source."""


class PageTokenInvalid(
    BadRequest,
    code="HK3013",
    message="tracking: 'page_token' is not one that this server gave out.",
    remedy="Start again without page_token, and send back the next_page_token of each answer.",
):
    """The token is no Base64 of a JSON object with an offset."""


class AnswerTooLarge(
    TooLarge,
    code="HK3014",
    message="tracking: the answer would be larger than {limit} bytes.",
    remedy="Ask for fewer at a time with max_results, or for less with a filter.",
):
    """MLflow's answer is held in memory whole, so it needs a bound."""


class ReferenceUnknown(
    NotFound,
    code="HK3015",
    message="tracking: there is no {thing} with this id in this workspace, as {name!r} says.",
    remedy="Check the id; a key sees its own workspace alone.",
):
    """A run or logged model named inside a request. MLflow itself would take it from any workspace."""


class FilterUnreadable(
    BadRequest,
    code="HK3016",
    message="tracking: 'filter' cannot be read: {reason}.",
    remedy="See MLflow's search syntax; numbers have at most 18 digits.",
):
    """MLflow would fail on it with 500."""


class RunLinkForbidden(
    BadRequest,
    code="HK3017",
    message="tracking: 'run_link' is no http:// or https:// address.",
    remedy="Leave run_link out, or send the address of a web page.",
):
    """People click on it."""


class KeyInName(
    BadRequest,
    code="HK3018",
    message="tracking: an API key stands in {name!r}, where everybody in the workspace reads it.",
    remedy="Revoke that key now, make a new one, and choose another name.",
):
    """Names are shown, logged and searched; a key in one has leaked."""


# HK40: artifacts


class ArtifactUnknown(
    NotFound,
    code="HK4001",
    message="artifacts: there is no artifact {path!r} in this workspace.",
    remedy="List what there is with: mlflow artifacts list --run-id RUN.",
): ...


class ArtifactPathInvalid(
    BadRequest,
    code="HK4002",
    message="artifacts: this is no artifact path: {reason}.",
    remedy="Use a relative path with '/' between the names and no '.', '..', backslash or control character.",
): ...


class ArtifactTooLarge(
    TooLarge,
    code="HK4003",
    message="artifacts: the file is larger than {limit} bytes.",
    remedy="Split the file, or ask the operator to raise HOKUSAI_MAX_UPLOAD_BYTES.",
): ...


class ArtifactStoreDown(
    Unavailable,
    code="HK4004",
    message="artifacts: the artifact store does not answer.",
    remedy="Nothing was kept; send the request again. Operator: see /ready and HOKUSAI_ARTIFACTS_URL.",
): ...


class ArtifactStoreFull(
    Full,
    code="HK4005",
    message="artifacts: the artifact store has no room left.",
    remedy="Nothing was kept. Operator: free or add space, then send the upload again.",
): ...


class UploadIncomplete(
    BadRequest,
    code="HK4006",
    message="artifacts: the upload ended after {received} of {expected} bytes.",
    remedy="Nothing was kept; send the file again.",
): ...


class RangeUnsatisfiable(
    Unsatisfiable,
    code="HK4007",
    message="artifacts: the range lies outside the file of {size} bytes.",
    remedy="Ask for a range inside the file (RFC 9110, section 14).",
): ...


class ArtifactStoreDenied(
    Fault,
    code="HK4008",
    message="artifacts: this server may not write in the artifact store.",
    remedy="Nothing was kept. Operator: allow s3:PutObject (docs/how-to/grow.md), or writing in HOKUSAI_ARTIFACTS_URL.",
): ...


class DigestMismatch(
    BadRequest,
    code="HK4009",
    message="artifacts: the digest sent with the upload {reason}.",
    remedy="Nothing was kept; send the file again, with its own SHA-256 or without a digest.",
):
    """``Repr-Digest`` or ``Content-Digest`` (RFC 9530) does not fit the bytes, or cannot be read."""


class ArtifactPathTaken(
    Conflict,
    code="HK4010",
    message="artifacts: no file can have this path: {reason}.",
    remedy="Choose another path, or delete what stands in the way.",
):
    """A directory has the path, or a file has the path of one of its directories."""


class UploadNotPlain(
    BadRequest,
    code="HK4011",
    message="artifacts: an upload is one whole, unencoded file, and {header} says otherwise.",
    remedy="Send all bytes of the file as they are, without {header}.",
):
    """``Content-Range`` or ``Content-Encoding`` on an upload: keeping it would keep other bytes than the file's."""


class ArtifactStoreMissing(
    Fault,
    code="HK4012",
    message="artifacts: the artifact store is not there.",
    remedy="Nothing was kept. Operator: create the bucket that HOKUSAI_ARTIFACTS_URL names, or name another.",
): ...


class ArtifactStoreCredentials(
    Fault,
    code="HK4013",
    message="artifacts: the artifact store does not know this server.",
    remedy="Nothing was kept. Operator: the credentials are missing, wrong or expired, or the clock is; see AWS_*.",
):
    """Which credentials are tried, and in what order, is in docs/how-to/grow.md."""


class ArtifactStoreElsewhere(
    Fault,
    code="HK4014",
    message="artifacts: the artifact store is in another region, or behind another endpoint.",
    remedy="Nothing was kept. Operator: set AWS_REGION to the bucket's region, and AWS_ENDPOINT_URL if it has one.",
): ...


class ArtifactStoreBusy(
    Unavailable,
    code="HK4015",
    message="artifacts: the artifact store takes no more requests for now.",
    remedy="Nothing was kept; send the request again in a moment. Operator: the bucket is being throttled.",
): ...


class ArtifactReadDenied(
    ArtifactStoreDenied,
    code="HK4016",
    message="artifacts: this server may not read in the artifact store.",
    remedy="Operator: allow s3:GetObject (docs/how-to/grow.md), or reading in HOKUSAI_ARTIFACTS_URL.",
): ...


class ArtifactListDenied(
    ArtifactStoreDenied,
    code="HK4017",
    message="artifacts: this server may not list what is in the artifact store.",
    remedy="Operator: allow s3:ListBucket (docs/how-to/grow.md), or reading in HOKUSAI_ARTIFACTS_URL.",
): ...


class ArtifactDeleteDenied(
    ArtifactStoreDenied,
    code="HK4018",
    message="artifacts: this server may not delete in the artifact store.",
    remedy="Operator: allow s3:DeleteObject (docs/how-to/grow.md), or writing in HOKUSAI_ARTIFACTS_URL.",
): ...


class UploadLost(
    Conflict,
    code="HK4019",
    message="artifacts: there is no upload here that ended after {offset} bytes.",
    remedy="Ask with HEAD what is there (Upload-Offset), or send the whole file.",
):
    """A client wanted to go on with an upload: it waited too long, or another server process took its beginning."""


class ConditionFailed(
    PreconditionFailed,
    code="HK4020",
    message="artifacts: the file is not as {header} says.",
    remedy="Read the file again, then decide; the ETag of its answer names what is there (RFC 9110, section 13).",
): ...


class PartsNotOffered(
    NotOffered,
    code="HK4021",
    message="Multipart upload is not supported for the current artifact repository: a file of any size is one stream.",
    remedy="Unset MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD; MLflow's client sends the stream then, as it does with it.",
):
    """The words are MLflow's: by them its client knows to send the file as one stream."""


# HK50: our own database


class DatabaseDown(
    Unavailable,
    code="HK5001",
    message="database: the database does not answer.",
    remedy="Send the request again in a moment. Operator: see /ready and HOKUSAI_DATABASE_URL.",
): ...


class DatabaseReadOnly(
    Unavailable,
    code="HK5002",
    message="database: the database takes no writes.",
    remedy="Nothing was changed. Operator: it is read-only or its disk is full.",
): ...


class SchemaMissing(
    Unavailable,
    code="HK5003",
    message="database: this server's tables are not there.",
    remedy="Nothing was changed. Operator: restart the server, which makes them, or restore the backup.",
):
    """The server started with its tables and they are gone: dropped, or another database stands in its place."""


class DatabaseCredentials(
    Unavailable,
    code="HK5004",
    message="database: it refuses this server's login.",
    remedy="Nothing was changed. Operator: see the user and the password in HOKUSAI_DATABASE_URL.",
):
    """The password was changed, the role may not log in any more, or the server lets nobody in from here."""


# HK60: the server does not start


class PortInUse(
    StartError,
    code="HK6001",
    message="start: port {port} on {host} is taken.",
    remedy="Stop what listens there, or choose another: hokusai serve --port {other}.",
): ...


class DataNotOurs(
    StartError,
    code="HK6002",
    message="start: {path} is not empty and was not made by hokusai.",
    remedy="Choose an empty or new directory: hokusai serve --data DIR.",
): ...


class DataNotWritable(
    StartError,
    code="HK6003",
    message="start: {path} cannot be written: {reason}.",
    remedy="Give this user the right to write there, or choose another: hokusai serve --data DIR.",
): ...


class DataInUse(
    StartError,
    code="HK6004",
    message="start: another server (process {pid}) uses {path}.",
    remedy="Stop that one first, or choose another: hokusai serve --data DIR.",
): ...


class DatabaseNewer(
    StartError,
    code="HK6005",
    message="start: {database} has the schema {revision}, which is newer than this code ({version}).",
    remedy="Install the newer version again, or restore the backup that was made before the upgrade.",
):
    """Fault ``schema-newer``."""


class DatabaseUnreachable(
    StartError,
    code="HK6006",
    message="start: the database of {setting} cannot be used: {reason}.",
    remedy="Check host, port, user, the password's percent-encoding and that the database exists.",
): ...


class SettingInvalid(
    StartError,
    code="HK6007",
    message="start: {setting}: {reason}.",
    remedy="Set it right; the settings are described in docs/reference/settings.md.",
): ...


class WorkspacesOff(
    StartError,
    code="HK6008",
    message="start: the MLflow at {url} runs without workspaces, so tenants would share everything.",
    remedy="Start it with: mlflow server --enable-workspaces (MLflow 3.17).",
):
    """Fault ``workspaces-off``."""


class TrackingUnreachable(
    StartError,
    code="HK6009",
    message="start: the MLflow at {url} cannot be used: {reason}.",
    remedy="Check HOKUSAI_TRACKING_URL and that MLflow 3.17 answers there.",
): ...


class PepperChanged(
    StartError,
    code="HK6010",
    message="start: HOKUSAI_KEY_PEPPER is not the one this database's keys were made with.",
    remedy="Set the pepper that was used before; with another, every key is unknown.",
): ...


class ExtraMissing(
    StartError,
    code="HK6011",
    message="start: {module} is not installed.",
    remedy="Install the server: pip install 'hokusai[server]'.",
): ...


class ArtifactStoreUnusable(
    StartError,
    code="HK6012",
    message="start: HOKUSAI_ARTIFACTS_URL cannot be used: {reason}.",
    remedy="Use file:///DIR that this user can write, s3://BUCKET/PREFIX (docs/how-to/grow.md), or memory://.",
): ...


class WorkerFailed(
    StartError,
    code="HK6013",
    message="start: a worker process could not start.",
    remedy="Its own error is in the lines above this one.",
): ...


# HK61: backup and restore


class BackupPlaceTaken(
    BackupError,
    code="HK6101",
    message="backup: {path} is there already, and is not an empty directory.",
    remedy="Name a directory that does not exist yet; each backup has one of its own.",
): ...


class BackupUnwritable(
    BackupError,
    code="HK6102",
    message="backup: {path} cannot be written: {reason}.",
    remedy="Free space there, or choose another place. What was written so far is no backup: remove it.",
): ...


class BackupLacking(
    BackupError,
    code="HK6103",
    message="backup: {count} of the artifacts could not be taken in; the first is {key}: {reason}.",
    remedy="All else is in the backup, and its manifest.json lists these. See to them: they cannot be pulled either.",
):
    """The store has lost or changed what was once stored in it."""


class BackupUnreadable(
    BackupError,
    code="HK6104",
    message="backup: {path} holds no whole backup that this version reads: {reason}.",
    remedy="Name a directory that hokusai backup made, and that it finished. Nothing was restored.",
): ...


class BackupDamaged(
    BackupError,
    code="HK6105",
    message="backup: {file} is damaged: {reason}.",
    remedy="Fetch this backup again from where it is kept, or take another one. Nothing was restored.",
): ...


class RestoreIntoUse(
    BackupError,
    code="HK6106",
    message="backup: {place} is not empty, and a restore overwrites nothing.",
    remedy="Restore into a new data directory, database and artifact store, or empty them first.",
): ...


class RestoreElsewhere(
    BackupError,
    code="HK6107",
    message="backup: the {part} database is {held} in it, and {kept} here ({setting}).",
    remedy="Restore with the settings of the server that was backed up. Nothing was restored.",
): ...


# HK70: the SDK and the CLI


class ServerUnreachable(
    ClientError,
    code="HK7001",
    message="client: {url} does not answer: {reason}.",
    remedy="Check HOKUSAI_URL and the network.",
): ...


class UrlMissing(
    ClientError,
    code="HK7002",
    message="client: no server was named.",
    remedy="Set HOKUSAI_URL, for example to http://127.0.0.1:5050.",
): ...


class ClientKeyMissing(
    ClientError,
    code="HK7003",
    message="client: no API key was given.",
    remedy="Set HOKUSAI_API_KEY to the key you were given.",
): ...


class PathUnusable(
    ClientError,
    code="HK7004",
    message="client: {path}: {reason}.",
    remedy="Name a file or directory that is there and that you may use.",
): ...


class AnswerUnreadable(
    ClientError,
    code="HK7005",
    message="client: {url} answered {status} with {content_type}, which is not this product's.",
    remedy="Check HOKUSAI_URL: a proxy or another server answers there.",
): ...


class ModelUriInvalid(
    ClientError,
    code="HK7006",
    message="client: {uri!r} is no model URI.",
    remedy="Write models:/NAME/VERSION, models:/NAME/latest or models:/NAME@ALIAS.",
): ...


class DigestDiffers(
    ClientError,
    code="HK7007",
    message="client: {path} arrived with another digest than the server recorded.",
    remedy="Nothing was kept; fetch it again, and tell the operator if it happens twice.",
): ...


class UrlInvalid(
    ClientError,
    code="HK7008",
    message="client: this is no server's URL: {reason}.",
    remedy="Set HOKUSAI_URL to scheme, host and port, for example http://127.0.0.1:5050.",
): ...


class ClientKeyUnusable(
    ClientError,
    code="HK7009",
    message="client: this is no API key: {reason}.",
    remedy="Set HOKUSAI_API_KEY to the whole key: it starts with hk_live_ or hk_test_.",
): ...


class TargetUnusable(
    ClientError,
    code="HK7010",
    message="client: {path} cannot take the files: {reason}.",
    remedy="Name a directory that does not exist yet, or an empty one you can write.",
): ...


class AnswerHostile(
    ClientError,
    code="HK7011",
    message="client: the server named a file {path!r}, which has no place inside a directory.",
    remedy="Nothing was kept; tell the operator, and do not use this version.",
):
    """A name with a separator, ``..`` or nothing in it, or a tree without an end."""


class ArtifactsElsewhere(
    ClientError,
    code="HK7012",
    message="client: the files of {uri} are not in this server's artifact store ({scheme}).",
    remedy="Register the model again through this server; files elsewhere are not fetched.",
): ...


class VersionNotReady(
    ClientError,
    code="HK7013",
    message="client: {name} version {version} is not READY: {reason}.",
    remedy="Its state is shown by: hokusai models show {name}.",
):
    """Admission refused the version, or had not finished in the time the caller gave it."""


class TransferStopped(
    ClientError,
    code="HK7014",
    message="client: stopped by Ctrl-C. {left}.",
    remedy="Run the command again: it begins anew.",
):
    """The command ends with 130."""


# HK80: releases


class DeployExtraMissing(
    DeployError,
    code="HK8001",
    message="deploy: {module} is not installed.",
    remedy="Install it: pip install 'hokusai[deploy]'.",
): ...


class RegionMissing(
    DeployError,
    code="HK8002",
    message="deploy: no AWS region was named.",
    remedy="Set AWS_REGION, for example to eu-central-1.",
): ...


class EnvironmentInvalid(
    DeployError,
    code="HK8003",
    message="deploy: {name!r} does not name an environment.",
    remedy="Set ENVIRONMENT to a word such as production: small letters, digits and hyphens, at most 16.",
): ...


class CredentialsMissing(
    DeployError,
    code="HK8004",
    message="deploy: AWS does not know who asks: {reason}.",
    remedy="Log in (aws sso login), name a profile in AWS_PROFILE, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
): ...


class SourceUnusable(
    DeployError,
    code="HK8005",
    message="deploy: {path} cannot be released: {reason}.",
    remedy="Run it in a checkout of Hokusai with everything committed, or name one with --source.",
):
    """A release is named after its commit; what is not in the commit is in no release."""


class EngineMissing(
    DeployError,
    code="HK8006",
    message="deploy: there is no command here that builds images.",
    remedy="Install podman, docker or buildah, or name one: --engine COMMAND.",
): ...


class ParametersMissing(
    DeployError,
    code="HK8007",
    message="deploy: the template needs {names}.",
    remedy="Give each once: hokusai deploy aws up --set NAME=VALUE. Later releases keep it.",
): ...


class NotDeployed(
    DeployError,
    code="HK8008",
    message="deploy: there is no stack {stack} in {region}.",
    remedy="See AWS_REGION and ENVIRONMENT; to make one: hokusai deploy aws up.",
): ...


class NameNotConfirmed(
    DeployError,
    code="HK8009",
    message="deploy: nothing was taken down: the environment's name was not confirmed.",
    remedy="Type it when asked, or give it: --yes {environment}.",
): ...


class Protected(
    DeployError,
    code="HK8010",
    message="deploy: the databases and load balancers of {environment} are protected from deletion.",
    remedy="If they are really to go: hokusai deploy aws up --set DeletionProtection=false, then down again.",
): ...


class CloudRefused(
    DeployError,
    code="HK8011",
    message="deploy: AWS refused {operation}: {reason}.",
    remedy="See which permission or limit is meant; then run the command again, it goes on where it stopped.",
): ...


class CloudUnreachable(
    DeployError,
    code="HK8012",
    message="deploy: AWS does not answer: {reason}.",
    remedy="Check the network and AWS_REGION; then run the command again, it goes on where it stopped.",
): ...


class StackFailed(
    DeployError,
    code="HK8013",
    message="deploy: the stack {stack} is {status}: {reason}.",
    remedy="See its events: aws cloudformation describe-stack-events --stack-name {stack}. "
    "One that was never created is deleted before the next try: aws cloudformation delete-stack --stack-name {stack}.",
): ...


class EngineFailed(
    DeployError,
    code="HK8014",
    message="deploy: {command} ended with {status}: {reason}.",
    remedy="Run that command by hand to see all it says.",
): ...


class ImageMissing(
    DeployError,
    code="HK8015",
    message="deploy: the registry has no image {tag}, although the push ended well.",
    remedy="See whether the engine pushed to {repository}.",
): ...


class MigrationFailed(
    DeployError,
    code="HK8016",
    message="deploy: the migration {name} failed: {reason}.",
    remedy="Its log: aws logs tail {group} --since 1h. Nothing else was changed.",
): ...


class ServiceUnstable(
    DeployError,
    code="HK8017",
    message="deploy: the service {service} does not get stable: {reason}.",
    remedy="Its log: aws logs tail {group} --since 1h.",
): ...


class LogsComplain(
    DeployError,
    code="HK8018",
    message="deploy: the log of {service} has a critical line: {line}.",
    remedy="All of it: aws logs tail {group} --since 1h.",
): ...


class NotProven(
    DeployError,
    code="HK8019",
    message="deploy: the doctor says that {url} does not work: {cause}.",
    remedy="{cure}",
): ...


class Interrupted(
    DeployError,
    code="HK8020",
    message="deploy: stopped from outside during: {step}.",
    remedy="Run the command again: it goes on where it stopped.",
):
    """Ctrl-C. The command ends with 130."""


class RollbackFailed(
    DeployError,
    code="HK8021",
    message="deploy: {service} could not be brought back to {before}: {reason}.",
    remedy="By hand: aws ecs update-service --cluster {cluster} --service {service} --task-definition {before}.",
): ...


# HK90


class Internal(
    Fault,
    code="HK9001",
    message="gateway: this server failed on the request.",
    remedy="Report the request id to the operator, whose log has the cause.",
): ...


def rows() -> Iterator[type[HokusaiError]]:
    """Every error that has a code, in the order of the codes."""

    def below(cls: type[HokusaiError]) -> Iterator[type[HokusaiError]]:
        for child in cls.__subclasses__():
            yield child
            yield from below(child)

    yield from sorted((row for row in below(HokusaiError) if row.code), key=lambda row: row.code)
