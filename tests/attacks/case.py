"""Attacks as data.

Texts hold words in angle brackets, filled in when the case is run: ``<b.run>`` is the victim's run,
``<a.run>`` the attacker's own, ``<n.run>`` an id of the same form that does not exist, ``<listener>`` a
port that the server must not connect to, ``<canary>`` a file that it must not read, ``<kept.x>`` a value
from the answer to an earlier step.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tests.attacks.scene import Scene

V2 = "/api/2.0/mlflow"
V3 = "/api/3.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
V1 = "/api/v1"

_WORD = re.compile(r"<([abcnk]\.\w+|kept\.\w+|listener|canary|host|nonce)>")
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Step:
    """One request.

    ``by`` is who asks (None: the case's actor). ``headers`` stand before the actor's own. ``keep``
    maps a word to where its value is found in the answer, ``run/info/run_id``. With ``raw`` the
    body is the whole of what is sent, and up to ``answers`` answers are read. ``needed`` marks a
    step that has to succeed for the case to mean anything.
    """

    method: str
    target: str
    body: str | bytes = b""
    headers: Pairs = ()
    by: str | None = None
    keep: Pairs = ()
    raw: bool = False
    answers: int = 4
    needed: bool = False


@dataclass(frozen=True)
class Control:
    """What the rightful owner of a world of its own (``c``) gets for the same steps: the proof that they work."""

    steps: tuple[Step, ...]
    shows: Literal["marker", "change", "success"]
    by: str = "c.write"


@dataclass(frozen=True)
class Case:
    """One attack, and what must be true of its answers beyond what must always be true.

    ``refused``: the number of the step whose answer is 4xx (or the connection ends); -1 is the last.
    ``alike``: with ids that nobody has, the answers are the same. ``play`` is a story told in Python, instead of steps.
    ``allows`` are statuses that would count against the server otherwise.
    """

    name: str
    threat: int
    steps: tuple[Step, ...] = ()
    by: str = "a.write"
    refused: int | None = None
    alike: bool = False
    control: Control | None = None
    allows: frozenset[int] = frozenset()
    play: Callable[[Scene], None] | None = field(default=None, compare=False)
    only: str | None = None

    @property
    def id(self) -> str:
        return f"{self.threat:02d} {self.name}"


def get(target: str, *headers: tuple[str, str], **facts: Any) -> Step:
    return Step("GET", target, headers=headers, **facts)


def send(method: str, target: str, document: Any, *headers: tuple[str, str], **facts: Any) -> Step:
    """A JSON body, unless it is text already."""
    body = document if isinstance(document, str | bytes) else json.dumps(document)
    kind = () if any(name.lower() == "content-type" for name, _ in headers) else (("Content-Type", "application/json"),)
    return Step(method, target, body, (*headers, *kind), **facts)


def post(target: str, document: Any, *headers: tuple[str, str], **facts: Any) -> Step:
    return send("POST", target, document, *headers, **facts)


def put(path: str, content: str, *headers: tuple[str, str], **facts: Any) -> Step:
    return Step("PUT", f"{FILES}/{path}", content, (*headers, ("Content-Type", "application/octet-stream")), **facts)


def raw(content: str, **facts: Any) -> Step:
    """Lines written with ``\\n``, sent with CRLF. Nothing is added."""
    return Step("RAW", "", content.replace("\n", "\r\n"), raw=True, **facts)


def owned(*steps: Step, shows: Literal["marker", "change", "success"], by: str = "c.write") -> Control:
    """The same steps for the owner: each ``<b.…>`` becomes the owner's own ``<c.…>``."""
    return Control(tuple(as_owner(step) for step in steps), shows, by)


def as_owner(step: Step) -> Step:
    def swap(text: str) -> str:
        return re.sub(r"<[ab]\.", "<c.", text)

    body = swap(step.body) if isinstance(step.body, str) else step.body
    headers = tuple((name, swap(value)) for name, value in step.headers)
    return replace(step, target=swap(step.target), body=body, headers=headers, by=None)


def as_nobody(step: Step) -> Step:
    """The same step about things that do not exist."""
    body = step.body.replace("<b.", "<n.") if isinstance(step.body, str) else step.body
    headers = tuple((name, value.replace("<b.", "<n.")) for name, value in step.headers)
    return replace(step, target=step.target.replace("<b.", "<n."), body=body, headers=headers)


def filled(text: str, words: Mapping[str, str]) -> str:
    """``text`` with its words. Raises ``KeyError`` for a word nobody knows."""
    return _WORD.sub(lambda found: words[found[1]], text)


def short(text: str, most: int = 90) -> str:
    """``text`` for the name of a case."""
    text = re.sub(r"<([ab])\.(\w)\w*>", r"<\1\2>", text)
    return text if len(text) <= most else f"{text[: most - 20]}…{text[-19:]}"


def words_in(steps: Iterable[Step]) -> set[str]:
    found: set[str] = set()
    for step in steps:
        texts = [step.target, *(value for _, value in step.headers)]
        texts += [step.body] if isinstance(step.body, str) else []
        found |= {word for text in texts for word in _WORD.findall(text)}
    return found
