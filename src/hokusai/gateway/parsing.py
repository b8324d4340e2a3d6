"""The one reading of a request: query, path segment, JSON. What has two readings is refused."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from hokusai import errors
from hokusai.gateway.field import Field

_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: Above this size JSON is parsed on a thread, so that one large body does not hold up the others.
_THREAD_BYTES = 64 * 1024
_MAX_DEPTH = 64
#: Parameters that MLflow stores as 64-bit integers.
_INT64 = frozenset(
    {"experiment_id", "experiment_ids", "version", "max_results", "start_time", "end_time", "timestamp", "step"}
)
_INT64_TEXT = re.compile(r"-?[0-9]{1,18}")
_MAX_ITEMS = 1000
_TOO_DEEP = f"it is nested deeper than {_MAX_DEPTH} levels"


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
    if text in {"", ".", ".."} or "/" in text or "\\" in text or _CONTROL.search(text):
        raise errors.PathMalformed(reason="a segment contains a separator, a dot segment or a control character")
    return text


def query(raw: bytes, fields: Sequence[Field] | None) -> dict[str, str | list[str]]:
    """The parameters of a query that are listed; those that may repeat as a list.

    ``fields`` as in ``Route``. Raises ``errors.QueryMalformed`` or ``ListTooLong``.
    """
    known = None if fields is None else {field.name: field.many for field in fields}
    found: dict[str, str | list[str]] = {}
    for name, value in [_pair(part) for part in raw.decode("latin-1").split("&")] if raw else []:
        if known is not None and name not in known:
            continue
        _check_number(name, value, errors.QueryMalformed)
        if known and known[name]:
            listed = found.setdefault(name, [])
            assert isinstance(listed, list)
            listed.append(value)
            _check_length(name, listed)
        elif name in found:
            raise errors.QueryMalformed(reason=f"{name[:100]!r} is given twice")
        else:
            found[name] = value
    return found


def _check_number(name: str, value: Any, error: type[errors.QueryMalformed | errors.BodyUnreadable]) -> None:
    """Refuse what is no 64-bit integer where one belongs; MLflow itself fails on some of it with 500."""
    if name in _INT64 and not (_is_whole(value) if isinstance(value, int | float) else _INT64_TEXT.fullmatch(value)):
        raise error(reason=f"{name} is not a whole number of at most 18 digits")


def _is_whole(value: float) -> bool:
    return not isinstance(value, bool) and abs(value) < 10**18 and value == int(value)


def _check_length(name: str, found: Sequence[Any]) -> None:
    if len(found) > _MAX_ITEMS:
        raise errors.ListTooLong(name=name, limit=_MAX_ITEMS)


def _pair(part: str) -> tuple[str, str]:
    name, _, value = part.replace("+", "%20").partition("=")
    try:
        return _decode(name), _decode(value)
    except ValueError as error:
        raise errors.QueryMalformed(reason=str(error)) from None


async def body(receive: Receive, *, limit: int, declared: int | None, idle_seconds: float) -> bytes:
    """The whole body, ``limit`` bytes at most. Raises ``errors.BodyTooLarge`` or ``BodyTooSlow``."""
    if declared is not None and declared > limit:
        raise errors.BodyTooLarge(limit=limit)
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        try:
            message = await asyncio.wait_for(receive(), idle_seconds)
        except TimeoutError:
            raise errors.BodyTooSlow(seconds=idle_seconds) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect()
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise errors.BodyTooLarge(limit=limit)
        more = message.get("more_body", False)
    return b"".join(chunks)


def replay(content: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives ``content`` once, then whatever comes after the body."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": content, "more_body": False}

    return again


async def json_object(raw: bytes, fields: Sequence[Field] | None) -> dict[str, Any]:
    """The body's one JSON object, read strictly (RFC 8259).

    With ``fields``, what is not listed is left behind, at every level, and so is what is null.
    Raises ``errors.BodyUnreadable``, ``BodyDuplicateName``, ``BodyDoublyEncoded`` or ``ListTooLong``.
    """
    if len(raw) > _THREAD_BYTES:
        return await asyncio.to_thread(_read, raw, fields)
    return _read(raw, fields)


def _read(raw: bytes, fields: Sequence[Field] | None) -> dict[str, Any]:
    found = _parse(raw) if raw else {}
    if isinstance(found, str):
        raise errors.BodyDoublyEncoded()
    if not isinstance(found, dict):
        raise errors.BodyUnreadable(reason=f"it is a JSON {_KINDS.get(type(found), 'number')}")
    return found if fields is None else _listed(found, fields)


def _listed(found: Mapping[str, Any], fields: Sequence[Field]) -> dict[str, Any]:
    kept = ((field, found[field.name]) for field in fields if field.name in found)
    return {field.name: _value(field, value) for field, value in kept if value is not None}


def _value(field: Field, value: Any) -> Any:
    if isinstance(value, list):
        _check_length(field.name, value)
        return [_one(field, one) for one in value]
    return _one(field, value)


def _one(field: Field, value: Any) -> Any:
    """An object where the field has parts, a plain value where it has none."""
    if isinstance(value, dict) and field.parts:
        return _listed(value, field.parts)
    if field.parts or isinstance(value, dict | list) or value is None:
        kind = "an object" if field.parts else "a plain value"
        raise errors.BodyUnreadable(reason=f"{field.name!r} is not {kind}")
    _check_number(field.name, value, errors.BodyUnreadable)
    return value


_KINDS: dict[type, str] = {list: "array", bool: "boolean", type(None): "null"}


def _parse(raw: bytes) -> Any:
    try:
        found = _DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise errors.BodyUnreadable(reason="it is not UTF-8") from None
    except RecursionError:
        raise errors.BodyUnreadable(reason=_TOO_DEEP) from None
    except ValueError as error:
        raise errors.BodyUnreadable(reason=str(error)[:200]) from None
    if raw.count(b"[") + raw.count(b"{") > _MAX_DEPTH and _is_deep(found):
        raise errors.BodyUnreadable(reason=_TOO_DEEP)
    return found


def written(found: Mapping[str, Any]) -> bytes:
    """JSON in its one spelling. Raises ``errors.BodyUnreadable`` for what JSON in UTF-8 cannot hold."""
    try:
        return json.dumps(found, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        raise errors.BodyUnreadable(reason="it holds a lone surrogate, or a number too large for a double") from None


def _is_deep(value: Any) -> bool:
    """Whether containers nest deeper than ``_MAX_DEPTH``; looks at each part once."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [part for whole in level for part in _parts(whole)]
        if not level:
            return False
    return any(isinstance(part, dict | list) for part in level)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        name, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise errors.BodyDuplicateName(name=name[:100])
    return found


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a JSON number; send it as the string {text!r}")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant)
