"""What a request says is looked at before MLflow sees it: one rule per field name.

MLflow believes its client in places where a stranger must not be believed. Each rule lets a field
through, puts another value in its place, or refuses the request.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from hokusai import apikey, errors
from hokusai.tracking.request import TrackingRequest

Rule = Callable[[TrackingRequest, str], None]

#: The tag in which MLflow's clients put the name of the user.
USER_TAG = "mlflow.user"
#: Tags by which MLflow's server decides what something is, or where its files are.
_RESERVED_TAGS = ("mlflow.prompt.", "mlflow.artifactLocation", "mlflow.trace")

#: The longest texts, in characters: what MLflow's tables hold, and what a filter may cost to parse.
_LONGEST: Mapping[str, int] = MappingProxyType(
    {"description": 5000, "run_link": 500, "model_type": 500, "run_name": 250, "filter": 10_000, "order_by": 1000}
)
#: How many results an answer holds: where the client asks for no number, and at most.
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

#: Control characters, line and paragraph separators, and what reorders text (Unicode UAX 9).
_UNPRINTABLE = frozenset({"Cc", "Zl", "Zp", "Cs"})
_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_LONG_NUMBER = re.compile(r"[0-9]{19}")


def check(request: TrackingRequest) -> None:
    """Apply the rules. Raises an ``errors.BadRequest``."""
    for name in request.fields.keys() & _RULES.keys():
        _RULES[name](request, name)
    for name in request.fields.keys() & _LONGEST.keys():
        _short(request.fields[name], name, _LONGEST[name])
    if request.route == "/runs/create":
        request.fields["user_id"] = request.principal.user_id
    if page := _PAGES.get(request.route):
        request.fields["max_results"] = _results(request.fields.get("max_results"), *page)


def _short(value: Any, name: str, limit: int) -> None:
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str) and len(one) > limit:
            raise errors.TextTooLong(name=name, limit=limit)


def _results(given: Any, default: int, most: int) -> int:
    return default if given is None else min(int(given), most)


def _printable(request: TrackingRequest, name: str) -> None:
    """A name shows as what it is: in a log, in a console, in a terminal."""
    _show(request.fields[name], name)


def _show(text: Any, name: str) -> None:
    if isinstance(text, str) and any(unicodedata.category(one) in _UNPRINTABLE or one in _REORDERING for one in text):
        raise errors.TextUnprintable(name=name)
    if isinstance(text, str) and apikey.WHOLE.search(text):
        raise errors.KeyInName(name=name)


def _key(request: TrackingRequest, name: str) -> None:
    """The key of a metric, a parameter, or a tag with its value beside it."""
    _printable(request, name)
    if request.route.endswith("-tag"):
        _tag(request, request.fields)


def _tags(request: TrackingRequest, name: str) -> None:
    for tag in request.fields[name] if isinstance(request.fields[name], list) else []:
        _tag(request, tag)


def _tag(request: TrackingRequest, tag: Any) -> None:
    """The user's tag names the key's owner, whatever the client wrote."""
    key = tag.get("key") if isinstance(tag, dict) else None
    _show(key, "key")
    if isinstance(key, str) and key.startswith(_RESERVED_TAGS):
        raise errors.TagReserved(key=key[:100])
    if key == USER_TAG and "value" in tag:
        tag["value"] = request.principal.user_id


def _run_uuid(request: TrackingRequest, name: str) -> None:
    """The old name of ``run_id``, which MLflow reads where the new one is empty."""
    run_id = request.fields.get("run_id")
    if run_id and request.fields[name] and run_id != request.fields[name]:
        raise errors.IdentifiersDiffer(one="run_id", other=name)


def _model_id(request: TrackingRequest, name: str) -> None:
    """Where the path names a logged model, MLflow acts on that of the body."""
    in_path = re.match(r"/logged-models/([^/]+)", request.route)
    if in_path and in_path[1] not in {"search", request.fields[name]}:
        raise errors.IdentifiersDiffer(one="the path", other=name)


def _filter(request: TrackingRequest, name: str) -> None:
    text = request.fields[name]
    if isinstance(text, str) and _LONG_NUMBER.search(_QUOTED.sub("", text)):
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
    """MLflow takes it for an object, whatever it is."""
    try:
        found = json.loads(request.fields[name])
    except (ValueError, TypeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise errors.BodyUnreadable(reason=f"{name!r} holds no JSON object")


def _artifact_location(request: TrackingRequest, name: str) -> None:
    if request.fields.pop(name):
        raise errors.ArtifactLocationFixed()


def _run_link(request: TrackingRequest, name: str) -> None:
    text = request.fields[name]
    if text and not re.fullmatch(r"https?://[!-~]+", str(text)):
        raise errors.RunLinkForbidden()


_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "name": _printable,
        "new_name": _printable,
        "experiment_name": _printable,
        "run_name": _printable,
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
