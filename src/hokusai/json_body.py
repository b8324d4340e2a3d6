"""JSON as the body of a request: decoded strictly (RFC 8259), encoded in one spelling, replayed to an app.

What two parsers could read in two ways is refused: a name twice in an object, ``NaN``, a second encoding.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.types import Message, Receive

from hokusai import errors

_MAX_DEPTH = 64
_TOO_DEEP = f"it is nested deeper than {_MAX_DEPTH} levels"
#: Where a list has more members than this, JSON is encoded on a thread, so that one large body does not hold up the
#: others.
_THREAD_MEMBERS = 200


def decode(raw: bytes) -> Any:
    """Raises ``errors.BodyUnreadable`` or ``BodyDuplicateName``."""
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


async def encode(value: Mapping[str, Any]) -> bytes:
    """Raises ``errors.BodyUnreadable`` for what JSON in UTF-8 cannot hold."""
    if any(isinstance(member, list) and len(member) > _THREAD_MEMBERS for member in value.values()):
        return await asyncio.to_thread(encode_now, value)
    return encode_now(value)


def encode_now(value: Mapping[str, Any]) -> bytes:
    """As ``encode``, on this thread."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        raise errors.BodyUnreadable(reason="it holds a lone surrogate, or a number too large for a double") from None


def replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives ``body`` once, then what comes after the body."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed


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
