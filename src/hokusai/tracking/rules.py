"""What a request says is checked before MLflow sees it: one rule per field name.

MLflow trusts its client in places where a stranger must not be trusted. Each rule lets a field through, replaces its
value, or refuses the request. Types and lengths are not checked here: the gateway's route table declares them.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from hokusai import apikey, errors
from hokusai.text import invisible, is_unprintable, name_fault
from hokusai.tracking.request import TrackingRequest

Rule = Callable[[TrackingRequest, str], None]

#: The tag in which MLflow's clients put the name of the user.
USER_TAG = "mlflow.user"
#: Tags by which MLflow's server decides what something is, or where its files are.
_RESERVED_TAGS = ("mlflow.prompt.", "mlflow.artifactLocation", "mlflow.trace")

#: How many results an answer holds: where the client does not say, and at most.
_PAGES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "/runs/search": (1000, 1000),
        "/experiments/search": (1000, 1000),
        "/logged-models/search": (100, 100),
        "/registered-models/search": (100, 1000),
        "/model-versions/search": (1000, 1000),
        "/metrics/get-history": (25_000, 25_000),
    }
)

#: Requests that give something a name, and the field with the name. Others name what exists, however old its name is.
_GIVEN: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("POST", "/registered-models/create"): "name",
        ("POST", "/registered-models/rename"): "new_name",
        ("POST", "/registered-models/alias"): "alias",
        ("POST", "/experiments/create"): "name",
        ("POST", "/experiments/update"): "new_name",
        ("POST", "/logged-models"): "name",
    }
)

#: An identifier that nothing has.
_NO_ID = "-1"
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_LONG_NUMBER = re.compile(r"[0-9]{19}")


def check(request: TrackingRequest) -> None:
    """Apply the rules. Raises an ``errors.BadRequest``, or ``TrackingUnknown`` for what cannot exist."""
    for name in request.fields.keys() & _RULES.keys():
        _RULES[name](request, name)
    given = _GIVEN.get((request.method, request.route))
    if given and (fault := name_fault(request.fields.get(given, ""))):
        raise errors.NameMisleading(name=given, reason=fault)
    if request.route == "/runs/create":
        request.fields["user_id"] = request.principal.user_id
    if page := _PAGES.get(request.route):
        request.fields["max_results"] = _results(request.fields.get("max_results"), *page)


def is_page(request: TrackingRequest) -> bool:
    """Whether the answer is a page of results, with a token for the next one."""
    return request.route in _PAGES


def _results(given: Any, default: int, maximum: int) -> int:
    """Refuses negative numbers: MLflow does not everywhere; SQLite would return everything, and PostgreSQL fail."""
    if given is None:
        return default
    if int(given) < 0:
        words = f"Invalid value {int(given)} for parameter 'max_results' supplied. It must be a positive integer"
        raise errors.TrackingRefused(reason=words)
    return min(int(given), maximum)


def _id(request: TrackingRequest, name: str) -> None:
    """MLflow's columns of these identifiers hold 32 bits: nothing has a larger one, and PostgreSQL fails on it."""
    value = request.fields[name]
    if not _fits(value):
        raise errors.TrackingUnknown(reason=f"there is no {name.removesuffix('_id')} {value} in this workspace")


def _ids(request: TrackingRequest, name: str) -> None:
    request.fields[name] = [one if _fits(one) else _NO_ID for one in request.fields[name]]


def _fits(value: Any) -> bool:
    return -(2**31) <= int(value) < 2**31


def _printable(request: TrackingRequest, name: str) -> None:
    """A name shows as what it is: in a log, in a console, in a terminal."""
    _check_printable(request.fields[name], name)


def _check_printable(text: str, name: str) -> None:
    if is_unprintable(text):
        raise errors.TextUnprintable(name=name)
    if apikey.WHOLE.search(text):
        raise errors.KeyInName(name=name)


def _run_name(request: TrackingRequest, name: str) -> None:
    """It identifies nothing, so it may be any text that is seen, such as a word of Persian or an emoji."""
    _printable(request, name)
    if fault := invisible(request.fields[name], joiners=True):
        raise errors.NameMisleading(name=name, reason=fault)


def _key(request: TrackingRequest, name: str) -> None:
    """The key of a metric, a parameter, or a tag with its value beside it."""
    _printable(request, name)
    if request.route.endswith("-tag"):
        _tag(request, request.fields)


def _tags(request: TrackingRequest, name: str) -> None:
    for tag in request.fields[name]:
        _tag(request, tag)


def _tag(request: TrackingRequest, tag: dict[str, str]) -> None:
    """The user's tag names the key's owner, whatever the client wrote."""
    key = tag.get("key", "")
    _check_printable(key, "key")
    if "/delete" not in request.route and request.method != "DELETE" and (fault := invisible(key)):
        raise errors.NameMisleading(name="key", reason=fault)
    if key.startswith(_RESERVED_TAGS):
        raise errors.TagReserved(key=key[:100])
    if key == USER_TAG and "value" in tag:
        tag["value"] = request.principal.user_id


def _run_uuid(request: TrackingRequest, name: str) -> None:
    """The old name of ``run_id``, which MLflow reads where ``run_id`` is empty."""
    run_id = request.fields.get("run_id")
    if run_id and request.fields[name] and run_id != request.fields[name]:
        raise errors.IdentifiersDiffer(one="run_id", other=name)


def _model_id(request: TrackingRequest, name: str) -> None:
    """Where the path names a logged model, MLflow acts on that of the body."""
    in_path = re.match(r"/logged-models/([^/]+)", request.route)
    if in_path and in_path[1] not in {"search", request.fields[name]}:
        raise errors.IdentifiersDiffer(one="the path", other=name)


def _filter(request: TrackingRequest, name: str) -> None:
    if _LONG_NUMBER.search(_QUOTED.sub("", request.fields[name])):
        raise errors.FilterUnreadable(reason="a number in it has more than 18 digits")


def _page_token(request: TrackingRequest, name: str) -> None:
    """MLflow's tokens are Base64 of a JSON object with an offset (``SearchUtils.create_page_token``)."""
    text = request.fields[name]
    if not text:
        return
    try:
        token = json.loads(base64.b64decode(text, validate=True))
        offset = token["offset"]
    except (binascii.Error, ValueError, TypeError, KeyError, RecursionError):
        raise errors.PageTokenInvalid() from None
    if not re.fullmatch(r"[0-9]{1,18}", str(offset)):
        raise errors.PageTokenInvalid()


def _model_json(request: TrackingRequest, name: str) -> None:
    """MLflow fails with 500 on anything else than an object."""
    try:
        found = json.loads(request.fields[name])
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise errors.ParameterInvalid(name=name, expected="the text of a JSON object")


def _artifact_location(request: TrackingRequest, name: str) -> None:
    if request.fields.pop(name):
        raise errors.ArtifactLocationFixed()


def _run_link(request: TrackingRequest, name: str) -> None:
    text = request.fields[name]
    if text and not re.fullmatch(r"https?://[!-~]+", text):
        raise errors.RunLinkForbidden()


_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "experiment_id": _id,
        "experiment_ids": _ids,
        "version": _id,
        "name": _printable,
        "new_name": _printable,
        "experiment_name": _printable,
        "run_name": _run_name,
        "alias": _printable,
        "model_type": _printable,
        "key": _key,
        "tags": _tags,
        "run_uuid": _run_uuid,
        "model_id": _model_id,
        "filter": _filter,
        "page_token": _page_token,
        "model_json": _model_json,
        "artifact_location": _artifact_location,
        "run_link": _run_link,
    }
)
