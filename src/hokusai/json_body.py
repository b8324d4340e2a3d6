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
#: The most commas and opening brackets, which bounds members and nesting at once. A body of MLflow's clients has a
#: tenth; the texts in it, such as the columns of a wide table, may have some too.
MAX_MEMBERS = 250_000
#: What is larger is worked on by a thread, so that one large body does not hold up the others: members and characters.
_THREAD_MEMBERS, _THREAD_CHARACTERS = 200, 16 * 1024


def decode(raw: bytes) -> Any:
    """Raises ``errors.BodyUnreadable`` or ``BodyDuplicateName``."""
    if len(raw) > MAX_MEMBERS and sum(map(raw.count, (b",", b"[", b"{"))) > MAX_MEMBERS:
        raise errors.BodyUnreadable(reason=f"it has more than {MAX_MEMBERS} members")
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
    if is_large(value):
        return await asyncio.to_thread(encode_now, value)
    return encode_now(value)


def is_large(value: Any) -> bool:
    """Whether work on every part of ``value`` belongs on a thread. Looks at as much as it needs to know that."""
    members, characters, left = 0, 0, [value]
    while left:
        part = left.pop()
        if isinstance(part, str):
            characters += len(part)
        elif isinstance(part, dict | list):
            members += len(part)
            if members <= _THREAD_MEMBERS:
                left += _parts(part)
        if members > _THREAD_MEMBERS or characters > _THREAD_CHARACTERS:
            return True
    return False


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
