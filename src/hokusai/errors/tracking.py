"""Tracking: MLflow (HK30)."""

from __future__ import annotations

from hokusai.errors.base import BadRequest, Conflict, Fault, NotFound, TooLarge, TooMany, Unavailable


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


class RequestMemoryExceeded(
    TooLarge,
    code="HK3019",
    message="tracking: answering this request takes more memory than the limit of {limit} bytes.",
    remedy="Ask for fewer results at a time with max_results, or for less with a filter.",
):
    """``HOKUSAI_TRACKING_MEMORY_BYTES``. MLflow builds an answer whole before it sends any of it."""


class RequestTimeExceeded(
    BadRequest,
    code="HK3020",
    message="tracking: this request was still being computed after {seconds} seconds, which is the limit.",
    remedy="Ask for fewer results at a time with max_results, or use a simpler filter.",
):
    """``HOKUSAI_TRACKING_TIMEOUT``, spent on a processor. Sending it again would take as long."""


class WorkspaceQueueFull(
    TooMany,
    code="HK3021",
    retry_after=1,
    message="tracking: this workspace has {limit} requests waiting for MLflow, which is the limit.",
    remedy="Wait until some have been answered, and send fewer at a time.",
):
    """Each workspace has its own queue: one that sends too much delays itself."""

    policy = "queue"


class TrackingProcessEnded(
    Unavailable,
    code="HK3022",
    retry_after=1,
    message="tracking: the MLflow process that had this request ended before it answered.",
    remedy="Send the request again; another process takes it. Operator: see the server's log.",
):
    """It crashed, or the system killed it. It has been replaced."""


class KeyInName(
    BadRequest,
    code="HK3018",
    message="tracking: an API key stands in {name!r}, where everybody in the workspace reads it.",
    remedy="Revoke that key now, make a new one, and choose another name.",
):
    """Names are shown, logged and searched; a key in one has leaked."""
