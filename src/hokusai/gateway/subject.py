"""What a request is about, for the audit trail: read from what its route and its fields declare."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from hokusai.actions import SubjectType
from hokusai.gateway.exchange import Exchange
from hokusai.gateway.field import PLACEHOLDERS, Field
from hokusai.gateway.redaction import shown
from hokusai.gateway.route import Answer, Match
from hokusai.text import escaped

#: Bytes of an answer that are kept to read ``Route.answers`` from. A longer one is searched for the value's name.
MAX_ANSWER = 64 * 1024
_MAX_DETAIL = 256  # characters
_MAX_NAME = 1024

_ORDER = tuple(SubjectType)
#: Parts of a registered model, and what stands between its name and theirs.
_PARTS: Mapping[SubjectType, str] = {SubjectType.VERSION: "/", SubjectType.ALIAS: "@"}


@dataclass(slots=True)
class About:
    """The narrowest thing that a request names, what that is within, and further facts."""

    type: SubjectType | None = None
    name: str | None = None
    within: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


def about(exchange: Exchange) -> About:
    """What is known of it now: a request that was refused early names only what is in its path."""
    match = exchange.match
    if match is None:
        return About()
    found = About()
    named: list[tuple[SubjectType, str]] = []
    for one, value in _given(match, exchange.values):
        if one.subject_type and isinstance(value, str | int) and value != "":
            named.append((one.subject_type, shown(str(value)[:_MAX_NAME], limit=_MAX_NAME)))
        elif one.noted and value not in (None, "", [], {}):
            found.details[one.name] = _detail(value)
    for answer, value in _answered(match.route.answers, exchange):
        if answer.names:
            named.append((answer.names, str(value)))
        elif value is not None:
            found.details[answer.way.rpartition(".")[2]] = _detail(value)
    _choose(found, named)
    return found


def _choose(found: About, named: list[tuple[SubjectType, str]]) -> None:
    """The narrowest is the subject; of two equals, the later one, which is what the answer names."""
    if not named:
        return
    ordered = sorted(dict.fromkeys(named), key=lambda one: _ORDER.index(one[0]))
    found.type, name = ordered.pop()
    model = next((name for type_, name in ordered if type_ is SubjectType.MODEL), None)
    if found.type in _PARTS and model is not None:
        found.name, found.within = f"{model}{_PARTS[found.type]}{name}", model
    else:
        found.name, found.within = name, ordered[-1][1] if ordered else None
    for type_, other in ordered:
        if other != found.within:
            found.details[type_.value] = escaped(other, _MAX_DETAIL)


def _given(match: Match, values: Mapping[str, Any]) -> Iterator[tuple[Field, Any]]:
    for name, raw in match.values.items():
        yield PLACEHOLDERS.get(name, Field(name)), unquote(raw, errors="replace")
    for one in (*(match.route.fields or ()), *match.route.about):
        if one.name in values and one.name not in match.values:
            yield one, values[one.name]


def _answered(answers: tuple[Answer, ...], exchange: Exchange) -> Iterator[tuple[Answer, Any]]:
    if exchange.answer is None or not answers:
        return
    text = bytes(exchange.answer)
    try:
        document = json.loads(text)
    except ValueError:  # it is longer than what was kept
        for answer in answers:
            # Quotes inside a JSON string are escaped, so that no text of a client's can pass for a name.
            name = re.escape(answer.way.rpartition(".")[2].encode())
            if value := re.search(rb'"' + name + rb'"\s*:\s*"([^"\\]{1,256})"', text):
                yield answer, value[1].decode("utf-8", "replace")
        return
    for answer in answers:
        value = document
        for part in answer.way.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if answer.names is None or isinstance(value, str | int):
            yield answer, value


def _detail(value: Any) -> Any:
    """A value of a detail: a short text, or numbers and short texts in a list or an object."""
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple) and len(value) <= 32 and all(isinstance(one, str) for one in value):
        return [_text(one) for one in value]
    return _text(value if isinstance(value, str) else json.dumps(value)[: 2 * _MAX_DETAIL])


def _text(text: str) -> str:
    return escaped(shown(text[: 2 * _MAX_DETAIL], limit=_MAX_DETAIL), _MAX_DETAIL)
