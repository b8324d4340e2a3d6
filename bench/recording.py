"""A registration as the stock client sends it, recorded once and replayed with other names.

``registration.json`` holds what MLflow 3.17.2's client sent while a script logged a scikit-learn model
in a run and registered it, and what the stock server answered. ``<words>`` stand for what differs each
time: a request may ``learn`` some from its answer. A ``*`` in an answer stands for anything. Uploads are
kept as sizes.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.connection import Connection, WrongAnswer

_DOCUMENT = json.loads(Path(__file__).with_name("registration.json").read_text())
HEADERS: Mapping[str, str] = _DOCUMENT["headers"]
REQUESTS: tuple[dict[str, Any], ...] = tuple(_DOCUMENT["requests"])
FILES = {step["path"].rsplit("/", 1)[1]: step["bytes"] for step in REQUESTS if "bytes" in step}
_BODIES = {name: random.Random(name).randbytes(size) for name, size in FILES.items()}


async def register(connection: Connection, *, experiment: str, name: str) -> dict[str, str]:
    """Play the recording. Returns the learned words; raises ``WrongAnswer``, or what the connection raises."""
    words = {"experiment": experiment, "name": name}
    for step in REQUESTS:
        await _play(connection, step, words)
    return words


async def check_files(connection: Connection, words: Mapping[str, str]) -> None:
    """Download what ``register`` uploaded. Raises ``WrongAnswer`` unless it is what was sent."""
    for name, sent in _BODIES.items():
        answer = await connection.request(
            "GET", filled(f"/api/2.0/mlflow-artifacts/artifacts/<artifacts>/{name}", words)
        )
        if answer.status != 200 or answer.body != sent:
            raise WrongAnswer(f"{name} did not come back as it was uploaded: {answer.status}")


async def _play(connection: Connection, step: Mapping[str, Any], words: dict[str, str]) -> None:
    target = filled(step["path"], words)
    if "bytes" in step:
        body, kind = _BODIES[target.rsplit("/", 1)[1]], step["content_type"]
    elif "json" in step:
        body, kind = json.dumps(filled(step["json"], words)).encode(), "application/json"
    else:
        body, kind = b"", ""
    answer = await connection.request(step["method"], target, body, kind)
    if answer.status != 200:
        raise WrongAnswer(f"{step['method']} {target}: {answer.status} {answer.body[:300]!r}")
    if "answer" in step:
        found = answer.json()
        _learn(step.get("learn", {}), found, words)
        if not agrees(filled(step["answer"], words), found):
            raise WrongAnswer(f"{step['method']} {target}: unlike the recorded answer: {answer.body[:1000]!r}")


def _learn(where: Mapping[str, str], found: Any, words: dict[str, str]) -> None:
    for word, path in where.items():
        value = found
        for name in path.split("."):
            value = value[name]
        words[word] = value
        if word == "artifact_uri":
            words["artifacts"] = urlsplit(value).path.strip("/")


def filled(value: Any, words: Mapping[str, str]) -> Any:
    """``value`` with every ``<word>`` in its strings replaced."""
    if isinstance(value, dict):
        return {name: filled(one, words) for name, one in value.items()}
    if isinstance(value, list):
        return [filled(one, words) for one in value]
    if isinstance(value, str) and "<" in value:
        for word, replacement in words.items():
            value = value.replace(f"<{word}>", replacement)
    return value


def agrees(wanted: Any, found: Any) -> bool:
    """Whether an answer is what was wanted; the order of tags, which no server promises, aside."""
    if wanted == "*":
        return True
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            name in found and agrees(one, found[name]) for name, one in wanted.items()
        )
    if isinstance(wanted, list):
        if not isinstance(found, list) or len(wanted) != len(found):
            return False
        return all(agrees(one, other) for one, other in zip(_sorted(wanted), _sorted(found), strict=True))
    return bool(wanted == found)


def _sorted(items: list[Any]) -> list[Any]:
    return sorted(items, key=lambda one: str(one.get("key")) if isinstance(one, dict) else "")
