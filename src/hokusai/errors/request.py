"""The request itself, refused by the gateway (HK10)."""

from __future__ import annotations

from hokusai.errors.base import BadRequest, NotFound, TooLarge


class RouteUnknown(
    NotFound,
    code="HK1001",
    error_code="ENDPOINT_NOT_FOUND",
    message="gateway: there is no route {method} {path}.",
    remedy="Only MLflow's tracking, registry and artifact routes are open; use {base} as MLFLOW_TRACKING_URI.",
):
    """The path or the method is not in the reviewed route table. What is not listed is denied."""

    method: str
    path: str
    base: str


class PathMalformed(
    BadRequest,
    code="HK1002",
    message="gateway: the path is not in canonical form: {reason}.",
    remedy="Send each path segment once percent-encoded, without '.', '..', empty segments or backslashes.",
):
    """The path has more than one reading, so it is refused rather than guessed at."""

    reason: str


class QueryMalformed(
    BadRequest,
    code="HK1003",
    message="gateway: the query cannot be read: {reason}.",
    remedy="Send each parameter once, as UTF-8, percent-encoded.",
):
    """The query string is not valid UTF-8 percent-encoding, or names a parameter twice."""

    reason: str


class BodyUnreadable(
    BadRequest,
    code="HK1004",
    message="gateway: the body is no JSON object: {reason}.",
    remedy="Send one JSON object (RFC 8259) in UTF-8 with Content-Type: application/json.",
):
    """The body is no JSON, or JSON that is not one object."""

    reason: str


class BodyDuplicateName(
    BadRequest,
    code="HK1005",
    message="gateway: the JSON body names {name!r} twice.",
    remedy="Send each name once in an object.",
):
    """Two readers could each see another value, so the body is refused (RFC 8259, section 4)."""

    name: str


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

    limit: int


class BodyUnexpected(
    BadRequest,
    code="HK1008",
    message="gateway: {method} {path} takes no body, and one was sent.",
    remedy="Send the parameters in the query, or use the method that takes a body.",
):
    """A body where the route has none: two places for one parameter."""

    method: str
    path: str


class BodyTooSlow(
    BadRequest,
    code="HK1009",
    status=408,
    message="gateway: the body did not arrive: nothing for {seconds:g} seconds.",
    remedy="Check the network between the client and this server, then send the request again.",
):
    """The client opened a request and stopped sending."""

    seconds: float


class RequestMalformed(
    BadRequest,
    code="HK1010",
    message="gateway: this is no HTTP/1.1 request that can be served: {reason}.",
    remedy="Send it as RFC 9112 says: a path in ASCII, one length, no Upgrade beside a body.",
):
    """The bytes have no reading as a request, or more than one. The connection is closed."""

    reason: str


class HeadersTooLarge(
    BadRequest,
    code="HK1011",
    status=431,
    message="gateway: the request line and the headers are larger than {limit} bytes.",
    remedy="Send fewer or shorter headers; large values belong into the body.",
):
    """Also a chunked body's framing and trailers. The connection is closed."""

    limit: int


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
    message="gateway: {name!r} lists more than {limit} items.",
    remedy="Send them in several requests of at most {limit} items each.",
):
    """A list in the query or the body is longer than any of MLflow's clients sends."""

    name: str
    limit: int
