"""Tracking: MLflow (HK30)."""

from __future__ import annotations

from hokusai.errors.base import BadRequest, Conflict, Fault, NotFound, TooLarge, TooMany, Unavailable


class TrackingDown(
    Unavailable,
    code="HK3001",
    message="tracking: MLflow does not answer.",
    remedy="Send the request again in a moment. Operator: check /ready and HOKUSAI_TRACKING_URL.",
): ...


class TrackingTimeout(
    Unavailable,
    code="HK3002",
    message="tracking: MLflow did not answer within {seconds:g} seconds.",
    remedy="Send the request again. Operator: check /ready and the load on MLflow's database.",
):
    """``HOKUSAI_TRACKING_TIMEOUT``."""

    seconds: float


class TrackingFault(
    Fault,
    code="HK3003",
    message="tracking: MLflow failed on this request.",
    remedy="Give the request id to the operator: the cause is in the server's log.",
):
    """MLflow answered 5xx. Its text may name hosts, files or SQL, so it is only in the log."""


class TrackingRefused(
    BadRequest,
    code="HK3004",
    message="tracking: {reason}.",
    remedy="MLflow itself refused this: change what the message names. Sent unchanged, it will be refused again.",
):
    """MLflow understood the request and refused it, in the words of the message."""

    reason: str


class TrackingUnknown(
    NotFound,
    code="HK3005",
    message="tracking: {reason}.",
    remedy="Check the name or id; a key sees only its own workspace.",
):
    """There is no such experiment, run, model or version in this workspace."""

    reason: str


class TrackingExists(
    Conflict,
    code="HK3006",
    message="tracking: {reason}.",
    remedy="Choose another name, or use the existing one.",
):
    """The name is taken in this workspace."""

    reason: str


class TextUnprintable(
    BadRequest,
    code="HK3007",
    message="tracking: {name!r} contains a control character, a line break or a character that reorders text.",
    remedy="Use only printable characters in names.",
):
    """Such a name can look like another one, or write lines of its own into a log (UAX 9, UTS 39)."""

    name: str


class TextTooLong(
    BadRequest,
    code="HK3008",
    message="gateway: {name!r} is longer than {limit} characters.",
    remedy="Shorten it, or store the long text as an artifact.",
):
    """It is longer than MLflow's tables hold, or longer than a filter may be."""

    name: str
    limit: int


class IdentifiersDiffer(
    BadRequest,
    code="HK3009",
    message="tracking: {one!r} and {other!r} contradict each other.",
    remedy="Send only one of the two, or let both name the same thing.",
):
    """MLflow would use one of the two; which one depends on the route."""

    one: str
    other: str


class SourceForbidden(
    BadRequest,
    code="HK3010",
    message="tracking: a model version cannot have this source: {reason}.",
    remedy="Use runs:/RUN_ID/PATH, models:/NAME/VERSION, models:/NAME@ALIAS, models:/MODEL_ID, or the mlflow-artifacts:"
    " address of a run's or logged model's files in this workspace.",
):
    """The files of a version are in its own workspace. Upload files that are elsewhere first."""

    reason: str


class ArtifactLocationFixed(
    BadRequest,
    code="HK3011",
    message="tracking: this server chooses an experiment's artifact location, and the request names one.",
    remedy="Leave artifact_location out.",
):
    """A location that the client chooses could lead out of the workspace."""


class TagReserved(
    BadRequest,
    code="HK3012",
    message="tracking: the tag {key!r} is reserved: it changes how MLflow treats the object that carries it.",
    remedy="Use a tag name of your own.",
):
    """Such tags redirect reads, or turn off checks of a version's source."""

    key: str


class PageTokenInvalid(
    BadRequest,
    code="HK3013",
    message="tracking: 'page_token' was not issued by this server.",
    remedy="Start again without page_token, then send the next_page_token of each answer.",
):
    """The token is not the Base64 of a JSON object with an offset."""


class AnswerTooLarge(
    TooLarge,
    code="HK3014",
    message="tracking: the answer would be larger than {limit} bytes.",
    remedy="Ask for fewer results with max_results, or for less with a filter.",
):
    """MLflow's answer is held in memory as a whole, so its size is limited."""

    limit: int


class ReferenceUnknown(
    NotFound,
    code="HK3015",
    message="tracking: the {resource} in {field!r} does not exist in this workspace.",
    remedy="Check the id; a key sees only its own workspace.",
):
    """The request refers to a run or logged model. MLflow itself would accept one of any workspace."""

    field: str
    resource: str


class FilterUnreadable(
    BadRequest,
    code="HK3016",
    message="tracking: 'filter' cannot be read: {reason}.",
    remedy="See the search syntax in MLflow's documentation; numbers have at most 18 digits.",
):
    """MLflow would answer 500 to it."""

    reason: str


class RunLinkForbidden(
    BadRequest,
    code="HK3017",
    message="tracking: 'run_link' is not an http:// or https:// URL.",
    remedy="Leave run_link out, or send the URL of a web page.",
):
    """MLflow's pages show it as a link, and people click on it."""


class KeyInName(
    BadRequest,
    code="HK3018",
    message="tracking: {name!r} contains an API key, and everybody in the workspace can read it.",
    remedy="Revoke that key now, create a new one, and choose another name.",
):
    """Names are shown, logged and searched, so a key in one has leaked."""

    name: str


class RequestMemoryExceeded(
    TooLarge,
    code="HK3019",
    message="tracking: answering this request takes more memory than the limit of {limit} bytes.",
    remedy="Ask for fewer results at a time with max_results, or for less with a filter.",
):
    """``HOKUSAI_TRACKING_MEMORY_BYTES``. MLflow builds an answer whole before it sends any of it."""

    limit: int


class RequestTimeExceeded(
    BadRequest,
    code="HK3020",
    message="tracking: this request was still being computed after {seconds:g} seconds, which is the limit.",
    remedy="Ask for fewer results at a time with max_results, or use a simpler filter.",
):
    """``HOKUSAI_TRACKING_TIMEOUT``, spent on a processor. Sent again, the request would take as long."""

    seconds: float


class WorkspaceQueueFull(
    TooMany,
    code="HK3021",
    retry_after=1,
    message="tracking: {limit} requests of this workspace are waiting for MLflow, which is the limit.",
    remedy="Wait until some have been answered, and send fewer at a time.",
):
    """Each workspace has a queue of its own: one that sends too much delays itself."""

    policy = "queue"


class TrackingProcessEnded(
    Unavailable,
    code="HK3022",
    retry_after=1,
    message="tracking: the MLflow process that had this request ended before it answered.",
    remedy="Send the request again: another process takes it. Operator: see the server's log.",
):
    """It crashed, or the system killed it. It has been replaced."""


class SearchTooComplex(
    BadRequest,
    code="HK3023",
    message="gateway: {name!r} has more than {limit} {parts}.",
    remedy="Use fewer, or search in several requests.",
):
    """Each condition of a filter, and each term of an order, is a join in MLflow's query. Many take minutes."""

    name: str
    limit: int
    parts: str


class ResultTooLarge(
    TooLarge,
    code="HK3024",
    message="tracking: one result of this search is too large to be answered, even alone.",
    remedy="Use a filter that does not find it, or delete what makes it large.",
):
    """A search with pages that are too large is answered with smaller ones; this page has one result."""
