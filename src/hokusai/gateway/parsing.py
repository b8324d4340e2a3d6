"""A request is parsed once: the query, a segment of the path, the body. What has two readings is refused."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from hokusai import errors, json_body
from hokusai.gateway import conditions
from hokusai.gateway.field import MAX_ITEMS, Field
from hokusai.text import is_unprintable

_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
#: Above this size JSON is parsed on a thread, so that one large body does not hold up the others.
_THREAD_BYTES = 16 * 1024
#: Parameters of a query, listed or not: more than a list may have.
_MAX_PARAMETERS = 2 * MAX_ITEMS
#: A parameter of a route that lists none.
_ANYTHING = Field("")
_JSON_TYPES: dict[type, str] = {list: "array", bool: "boolean", type(None): "null"}


def _decode(text: str) -> str:
    """Percent-decode once. Raises ``ValueError`` where that has more than one outcome."""
    if _BAD_PERCENT.search(text):
        raise ValueError("a '%' is not followed by two hexadecimal digits")
    try:
        return unquote_to_bytes(text.encode("latin-1")).decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None


def segment(raw: str) -> str:
    """One path segment, decoded. Raises ``errors.PathMalformed``."""
    try:
        text = _decode(raw)
    except ValueError as error:
        raise errors.PathMalformed(reason=str(error)) from None
    if text in {"", ".", ".."} or "/" in text or "\\" in text or is_unprintable(text):
        raise errors.PathMalformed(reason="a segment contains a separator, a dot segment or a control character")
    return text


def query(raw: bytes, fields: Sequence[Field] | None) -> dict[str, str | list[str]]:
    """The parameters of a query that are listed; those that may repeat as a list.

    ``fields`` as in ``Route``. Raises ``errors.QueryMalformed``, ``ParameterInvalid``, ``TextTooLong``,
    ``ListTooLong`` or ``SearchTooComplex``.
    """
    if raw.count(b"&") >= _MAX_PARAMETERS:
        raise errors.QueryMalformed(reason=f"it has more than {_MAX_PARAMETERS} parameters")
    known = {field.name: field for field in fields or ()}
    unlisted = _ANYTHING if fields is None else None
    found: dict[str, str | list[str]] = {}
    for name, value in [_pair(part) for part in raw.decode("latin-1").split("&")] if raw else []:
        field = known.get(name, unlisted)
        if field is None:
            continue
        _check(field, value)
        if field.many:
            listed = found.setdefault(name, [])
            assert isinstance(listed, list)
            listed.append(value)
            _check_count(field, listed)
        elif name in found:
            raise errors.QueryMalformed(reason=f"{name[:100]!r} is given twice")
        else:
            found[name] = value
    return found


def _pair(part: str) -> tuple[str, str]:
    name, _, value = part.replace("+", "%20").partition("=")
    try:
        return _decode(name), _decode(value)
    except ValueError as error:
        raise errors.QueryMalformed(reason=str(error)) from None


async def body(receive: Receive, *, limit: int, declared: int | None, idle_seconds: float) -> bytes:
    """The whole body, ``limit`` bytes at most. Raises ``errors.BodyTooLarge`` or ``BodyStalled``."""
    if declared is not None and declared > limit:
        raise errors.BodyTooLarge(limit=limit)
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        try:
            async with asyncio.timeout(idle_seconds):  # before Python 3.12, ``wait_for`` can lose a cancellation
                message = await receive()
        except TimeoutError:
            raise errors.BodyStalled(seconds=idle_seconds) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect()
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise errors.BodyTooLarge(limit=limit)
        more = message.get("more_body", False)
    return b"".join(chunks)


async def json_object(raw: bytes, fields: Sequence[Field] | None) -> dict[str, Any]:
    """The body's one JSON object, parsed strictly (RFC 8259).

    With ``fields``, what is not listed is left out, at every level, and so is what is null.
    Raises ``errors.BodyUnreadable``, ``BodyDuplicateName``, ``BodyDoublyEncoded``, ``ParameterInvalid``,
    ``TextTooLong``, ``ListTooLong`` or ``SearchTooComplex``.
    """
    if len(raw) > _THREAD_BYTES:
        return await asyncio.to_thread(_json_object, raw, fields)
    return _json_object(raw, fields)


def _json_object(raw: bytes, fields: Sequence[Field] | None) -> dict[str, Any]:
    found = json_body.decode(raw) if raw else {}
    if isinstance(found, str):
        raise errors.BodyDoublyEncoded()
    if not isinstance(found, dict):
        raise errors.BodyUnreadable(reason=f"it is a JSON {_JSON_TYPES.get(type(found), 'number')}")
    return found if fields is None else _listed(found, fields)


def _listed(found: Mapping[str, Any], fields: Sequence[Field], within: str = "") -> dict[str, Any]:
    kept = ((field, found[field.name]) for field in fields if field.name in found)
    return {field.name: _value(field, value, within) for field, value in kept if value is not None}


def _value(field: Field, value: Any, within: str) -> Any:
    if not field.many:
        return _item(field, value, within)
    if not isinstance(value, list):
        raise errors.ParameterInvalid(name=within + field.name, expected=field.expected)
    _check_count(field, value, within)
    return [_item(field, item, within) for item in value]


def _item(field: Field, value: Any, within: str) -> Any:
    """An object where the field has parts, a plain value where it has none."""
    if not field.parts:
        _check(field, value, within)
        return value
    if not isinstance(value, dict):
        raise errors.ParameterInvalid(name=within + field.name, expected=field.expected)
    return _listed(value, field.parts, f"{within}{field.name}.")


def _check(field: Field, value: Any, within: str = "") -> None:
    """Refuse what the field cannot hold. The length comes first: whatever looks at the text itself takes as long."""
    if field.max_length is not None and isinstance(value, str) and len(value) > field.max_length:
        raise errors.TextTooLong(name=within + field.name, limit=field.max_length)
    if not field.kind.holds(value):
        raise errors.ParameterInvalid(name=within + field.name, expected=field.expected)
    if field.max_conditions is not None and isinstance(value, str) and conditions.count(value) > field.max_conditions:
        raise errors.SearchTooComplex(name=within + field.name, limit=field.max_conditions, parts="conditions")


def _check_count(field: Field, found: Sequence[Any], within: str = "") -> None:
    if len(found) <= field.max_items:
        return
    name = within + field.name
    if field.max_items < MAX_ITEMS:
        raise errors.SearchTooComplex(name=name, limit=field.max_items, parts="items")
    raise errors.ListTooLong(name=name, limit=field.max_items)
