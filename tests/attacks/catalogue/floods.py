"""Threats 26, 31 and 33: what takes memory, time or places from everybody, by those who may send next to nothing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from bench.fairness.flood import STRANGERS, Flood, open_files, port_of, read_document
from tests.attacks.case import FILES, V2, Case, get, put, send

if TYPE_CHECKING:
    from tests.attacks.scene import Scene

_COUNT = 60
#: KiB for one connection, and seconds in which one whose body is unread is closed.
_MOST, _SECONDS = 64, 10
#: More connections than one address may have.
_TOO_MANY = 700
#: Stands for a text of so many characters, which is made when the case is run.
_LONG, _CHARACTERS = "LONG", 3_900_000

#: Long texts, in all kinds of fields.
_TEXTS = {
    "name": ("POST", "/experiments/create", {"name": _LONG}),
    "new name": ("POST", "/registered-models/rename", {"name": "<a.model>", "new_name": _LONG}),
    "key of a tag": ("POST", "/runs/set-tag", {"run_id": "<a.run>", "key": _LONG, "value": "v"}),
    "value of a tag": ("POST", "/runs/set-tag", {"run_id": "<a.run>", "key": "k", "value": _LONG}),
    "keys of tags": ("POST", "/runs/log-batch", {"run_id": "<a.run>", "tags": [{"key": _LONG, "value": "v"}]}),
    "name of a metric": ("POST", "/runs/log-metric", {"run_id": "<a.run>", "key": _LONG, "value": 1, "timestamp": 1}),
    "number": ("POST", "/runs/log-metric", {"run_id": "<a.run>", "key": "m", "value": "1." + _LONG, "timestamp": 1}),
    "id": ("POST", "/runs/set-tag", {"run_id": _LONG, "key": "k", "value": "v"}),
    "alias": ("POST", "/registered-models/alias", {"name": "<a.model>", "alias": _LONG, "version": "1"}),
    "filter": ("POST", "/runs/search", {"experiment_ids": ["1"], "filter": _LONG}),
    "order": ("POST", "/runs/search", {"experiment_ids": ["1"], "order_by": [_LONG]}),
    "page token": ("POST", "/runs/search", {"experiment_ids": ["1"], "page_token": _LONG}),
    "source": ("POST", "/model-versions/create", {"name": "<a.model>", "source": _LONG}),
}


def cases() -> Iterator[Case]:
    for name, data in STRANGERS.items():
        yield Case(f"memory: {name}, by nobody", 26, play=_cheap(data), only="hokusai")
        if "10 GB" in name or "chunk" in name.split():
            yield Case(f"unread: {name}, by nobody", 26, play=_closed(data), only="hokusai")
    yield Case("places: more connections than an address may have", 33, play=_crowd, only="hokusai")
    for name, (method, route, document) in _TEXTS.items():
        yield Case(f"length first: {name}", 31, play=_by_length(method, route, document), only="hokusai")
    path = "%25" * 20_000
    yield Case("a path of %", 31, (get(f"{V2}/{path}"),), refused=0)
    yield Case("a query of %", 31, (get(f"{V2}/runs/get?run_id={path}"),), refused=0)
    yield Case("a query of &", 31, (get(f"{V2}/runs/get?{'&' * 30_000}"),), refused=0)
    yield Case("an artifact's path of %", 31, (put(path, "x"),), refused=0)
    yield Case("a listing's path of %", 31, (get(f"{FILES}?path={path}"),), refused=0)
    yield Case("everybody waits for many long names", 31, play=_nobody_waits, only="hokusai")


def _cheap(data: bytes) -> Callable[[Scene], None]:
    def play(scene: Scene) -> None:
        read_document(port_of(scene.target.url))
        with _flood(scene, 20, data) as flood:
            _all_taken(scene, flood)
        before = scene.target.resident()
        with _flood(scene, _COUNT, data) as flood:
            _all_taken(scene, flood)
            grown = (scene.target.resident() - before) / _COUNT
        assert grown < _MOST, f"each connection took {grown:.0f} KiB"

    return play


def _all_taken(scene: Scene, flood: Flood) -> None:
    """Wait until the server takes no more of what is sent, and has dealt with what it took; about a second at most."""
    left, end = -1, time.monotonic() + 1
    while left != (left := flood.unsent()) and time.monotonic() < end:
        scene.target.wait_until_idle()
        flood.send(0.05)


def _closed(data: bytes) -> Callable[[Scene], None]:
    def play(scene: Scene) -> None:
        with _flood(scene, 20, data) as flood:
            end = time.monotonic() + _SECONDS
            while (left := flood.open()) and time.monotonic() < end:
                time.sleep(0.2)
        assert not left, f"{left} connections with an unread body stayed open"

    return play


def _crowd(scene: Scene) -> None:
    """Some are closed, and whoever comes from elsewhere is served."""
    with open_files(), _flood(scene, _TOO_MANY, b"", per_address=_TOO_MANY) as flood:
        answer = scene.do(get(f"{V2}/runs/get?run_id=<a.run>"), "a.write")
        assert answer.status == 200, answer.status
        time.sleep(1)
        left = flood.open()
    assert left < _TOO_MANY, f"one address has {left} connections"


def _by_length(method: str, route: str, document: object) -> Callable[[Scene], None]:
    """The length is what is wrong: nothing else was looked at before."""

    def play(scene: Scene) -> None:
        body = json.dumps(document).replace(_LONG, "1" * _CHARACTERS)
        answer = scene.do(send(method, V2 + route, body), "a.write")
        assert b"HK3008" in answer.body, answer.body[:200]

    return play


def _nobody_waits(scene: Scene) -> None:
    body = json.dumps({"name": "x" * _CHARACTERS}).encode()
    headers = (*scene.credentials("a.write"), ("Content-Type", "application/json"))

    def attack() -> None:
        with scene.fresh(seconds=60) as wire:
            for _ in range(3):
                wire.request("POST", f"{V2}/experiments/create", headers, body)

    attacks = [threading.Thread(target=attack) for _ in range(4)]
    for one in attacks:
        one.start()
    slowest = 0.0
    while any(one.is_alive() for one in attacks):
        start = time.monotonic()
        assert scene.wire("health").request("GET", "/health").status == 200
        slowest = max(slowest, time.monotonic() - start)
        time.sleep(0.01)
    assert slowest < 1, f"/health took {slowest:.2f} s"


def _flood(scene: Scene, count: int, data: bytes, per_address: int = 100) -> Flood:
    return Flood(port_of(scene.target.url), count, data, per_address=per_address, seconds=0.2)
