"""The request itself, refused by the gateway (HK10)."""

from __future__ import annotations

from hokusai.errors.base import BadRequest, Conflict, Forbidden, NotFound, TooLarge, Unavailable


class RouteUnknown(
    NotFound,
    code="HK1001",
    error_code="ENDPOINT_NOT_FOUND",
    message="gateway: there is no route {method} {path}.",
    remedy="Set MLFLOW_TRACKING_URI to {base}. Only MLflow's tracking, registry and artifact routes are open.",
):
    """The path or the method is not in the table of reviewed routes. What the table does not list is denied."""

    method: str
    path: str
    base: str


class PathMalformed(
    BadRequest,
    code="HK1002",
    message="gateway: the path is not in canonical form: {reason}.",
    remedy="Percent-encode each path segment once; leave out '.', '..', empty segments and backslashes.",
):
    """The path can be read in more than one way, so it is refused."""

    reason: str


class QueryMalformed(
    BadRequest,
    code="HK1003",
    message="gateway: the query cannot be read: {reason}.",
    remedy="Send each parameter once, as percent-encoded UTF-8.",
):
    """The query is not percent-encoded UTF-8, or has a parameter twice."""

    reason: str


class BodyUnreadable(
    BadRequest,
    code="HK1004",
    message="gateway: the JSON body cannot be read: {reason}.",
    remedy="Send one JSON object (RFC 8259) in UTF-8, with Content-Type: application/json.",
):
    """The body is not JSON, or not a JSON object."""

    reason: str


class BodyDuplicateName(
    BadRequest,
    code="HK1005",
    message="gateway: an object in the JSON body has the name {name!r} twice.",
    remedy="Send each name of an object once.",
):
    """Two readers could each take a different value, so the body is refused (RFC 8259, section 4)."""

    name: str


class BodyDoublyEncoded(
    BadRequest,
    code="HK1006",
    message="gateway: the JSON body was encoded twice: it is a string that contains JSON.",
    remedy="Encode the body once: give your HTTP library the object, not its JSON text.",
):
    """MLflow would decode such a body twice, and so read something other than what was checked here."""


class BodyTooLarge(
    TooLarge,
    code="HK1007",
    message="gateway: the JSON body is larger than {limit} bytes.",
    remedy="Log in smaller batches; store large values as artifacts.",
):
    """The body is larger than ``HOKUSAI_MAX_JSON_BYTES``."""

    limit: int


class BodyUnexpected(
    BadRequest,
    code="HK1008",
    message="gateway: {method} {path} does not take a body, but one was sent.",
    remedy="Send the parameters in the query, or use the method that takes a body.",
):
    """Parameters in the query and in a body could contradict each other."""

    method: str
    path: str


class BodyStalled(
    BadRequest,
    code="HK1009",
    status=408,
    message="gateway: the body stopped arriving: nothing came for {seconds:g} seconds.",
    remedy="Check the network between the client and this server, then send the request again.",
):
    """The client opened a request and stopped sending (``HOKUSAI_BODY_IDLE_SECONDS``)."""

    seconds: float


class RequestMalformed(
    BadRequest,
    code="HK1010",
    message="gateway: this is not an HTTP/1.1 request that can be served: {reason}.",
    remedy="Send it as RFC 9112 says: an ASCII path, one length, and no Upgrade together with a body.",
):
    """The bytes are not a request, or can be read as more than one. The connection is closed."""

    reason: str


class HeadersTooLarge(
    BadRequest,
    code="HK1011",
    status=431,
    message="gateway: the request line and the headers are larger than {limit} bytes, or there are more than {count}.",
    remedy="Send fewer or shorter headers; put large values in the body.",
):
    """The limit includes the framing and the trailers of a chunked body. The connection is closed."""

    limit: int
    count: int


class HeadersTooSlow(
    BadRequest,
    code="HK1012",
    status=408,
    message="gateway: the headers were not complete after {seconds:g} seconds.",
    remedy="Check the network between the client and this server, then send the request again.",
):
    """The client opened a request and stopped sending. The connection is closed."""

    seconds: float


class ListTooLong(
    TooLarge,
    code="HK1013",
    message="gateway: {name!r} has more than {limit} items.",
    remedy="Send them in several requests of at most {limit} items each.",
):
    """A list in the query or the body is longer than MLflow's clients ever send."""

    name: str
    limit: int


class ParameterInvalid(
    BadRequest,
    code="HK1014",
    message="gateway: {name!r} is not {expected}.",
    remedy="Correct this value and send the request again; nothing was changed.",
):
    """A parameter in the query or the body has another type than its route takes, or a number is too large."""

    name: str
    expected: str


class TargetTooLong(
    BadRequest,
    code="HK1090",
    status=414,
    message="gateway: the path is longer than {limit} bytes.",
    remedy="Shorten the path. No route of this server has one that is nearly as long.",
):
    """The part of the URL before ``?``, as it was sent, with its percent-encoding. The connection is closed."""

    limit: int


class OriginForeign(
    Forbidden,
    code="HK1070",
    message="gateway: this request comes from a page of another site ({origin}), and may change something.",
    remedy="Send it from this server's own pages, or from a program, which sends no Origin header. Operator: if it is "
    "this server's own page, set HOKUSAI_PUBLIC_URL to the URL that browsers use.",
):
    """A browser names the page in ``Origin`` and ``Sec-Fetch-Site``. GET and HEAD, which change nothing, pass."""

    origin: str


class NameMisleading(
    BadRequest,
    code="HK1071",
    message="tracking: {name!r} cannot be this text: {reason}.",
    remedy="Leave that character out; a name must show everything that it is made of.",
):
    """Two names that look alike are taken for each other. Descriptions and values of tags may have such characters."""

    name: str
    reason: str


class NameAlike(
    Conflict,
    code="HK1072",
    error_code="INVALID_STATE",  # MLflow's clients go on when a model exists already
    message="tracking: the name {name!r} would be taken for that of the registered model {other!r}.",
    remedy="Choose a name that differs in more than case, spaces and the form of its characters.",
):
    """Names are compared in Unicode's normal form NFKC, without regard to case and the width of spaces."""

    name: str
    other: str


class NameRetired(
    Conflict,
    code="HK1073",
    error_code="INVALID_STATE",
    message="tracking: {name!r} was the name of a registered model that was renamed (it is {now}), and no other one "
    "gets it.",
    remedy="Choose another name; only that model itself can have this one back.",
):
    """Whoever still loads a model by its old name must not get another team member's model instead."""

    name: str
    now: str


class RenamesExceeded(
    TooLarge,
    code="HK1074",
    message="tracking: {limit} old names of registered models are kept in this workspace, which is the limit.",
    remedy="Keep the name that the model has, or register it anew under another one.",
):
    """Old names are kept for good, so their number is limited."""

    limit: int


class QueryNotTaken(
    BadRequest,
    code="HK1077",
    message="gateway: {method} {path} takes no query, but one was sent.",
    remedy="Nothing was read or changed. If the '?' belongs to the file's name, rename the file, or send it as %3F.",
):
    """Everything after ``…/artifacts/`` names one file. MLflow's client sends a file ``weights?v=2.bin`` with a bare
    '?', so that its name ends there: without this refusal it would replace the file ``weights``.
    """

    method: str
    path: str


class AuditFull(
    Unavailable,
    code="HK1080",
    message="gateway: the audit trail waits for its database, so nothing can be changed now.",
    remedy="Send the request again; nothing was changed. Operator: check the database at /ready, and its disk.",
):
    """10,000 rows of the audit trail wait to be written. A change would not be recorded, so it has to wait as well."""


class AliasProtected(
    Forbidden,
    code="HK1075",
    message="tracking: the alias {alias!r} is protected in this workspace, and this key lacks models:promote.",
    remedy="Ask whoever releases models here to do it, or the operator for a key with models:promote.",
):
    """Setting, moving and removing such an alias takes it, and so does deleting or renaming what has the alias."""

    alias: str


class NameBusy(
    Conflict,
    code="HK1076",
    error_code="INVALID_STATE",
    message="tracking: a registered model with the name {name!r} is being created or renamed at this moment.",
    remedy="Send the request again in a moment.",
):
    """One request at a time gives out a name. After an outage it may stay so for up to five minutes."""

    name: str
