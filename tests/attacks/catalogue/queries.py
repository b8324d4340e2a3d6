"""Threats 27, 28 and 34: what makes MLflow take too much memory or time, and values of another shape."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.attacks.case import V2, Case, Step, get, post, send

if TYPE_CHECKING:
    from tests.attacks.scene import Scene

#: Parts of a dataset that MLflow returns with every run that used it, and more characters than each may have.
_DATASET = {"profile": 70_000, "schema": 300_000, "source": 70_000, "name": 600}
_CONDITIONS = 31
#: Ways to write many conditions so that they look like fewer.
_DISGUISES = {
    "plain": " and ".join(f"tags.a{n}='1'" for n in range(_CONDITIONS)),
    "in other cases": " AnD ".join(f"tags.a{n} LiKe '1'" for n in range(_CONDITIONS)),
    "on lines": "\nand\n".join(f"tags.a{n}\n!=\n'1'" for n in range(_CONDITIONS)),
    "in parentheses": " and ".join(f"(tags.a{n}='1')" for n in range(_CONDITIONS)),
    "behind a quote": "tags.`'`='x' and "
    + " and ".join(f"tags.a{n}='1'" for n in range(_CONDITIONS))
    + ' and tags.b="\'"',
    "behind an escape": r"tags.z='\0' and " + " and ".join(f"tags.a{n}='1'" for n in range(_CONDITIONS)),
    "behind a comment": "tags.z='1' -- '\nand " + " and ".join(f"tags.a{n}='1'" for n in range(_CONDITIONS)) + " -- '",
    "within a comment": "/*'*/ " + " and ".join(f"tags.a{n}='1'" for n in range(_CONDITIONS)) + " /*'*/",
    "of metrics": " and ".join(f"metrics.a{n}>1" for n in range(_CONDITIONS)),
    "without spaces": "and".join(f"tags.a{n}='1'" for n in range(_CONDITIONS)),
}
_SHAPES: Mapping[str, Any] = {"a list": ["x"], "lists": [["x"]], "an object": {"x": 1}, "a list of objects": [{"x": 1}]}
_EXPERIMENT = {"experiment_ids": ["<a.experiment>"]}
#: Searches, and what goes with the filter.
_SEARCHES = {
    "runs": ("POST", {"experiment_ids": ["<a.experiment>"]}),
    "logged-models": ("POST", {"experiment_ids": ["<a.experiment>"]}),
    "experiments": ("POST", {"max_results": 1}),
    "registered-models": ("GET", {}),
    "model-versions": ("GET", {}),
}
_FIELDS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("run_id", "POST", "/runs/set-tag", {"key": "k", "value": "v"}),
    ("max_results", "POST", "/runs/search", _EXPERIMENT),
    ("page_token", "POST", "/runs/search", _EXPERIMENT),
    ("filter", "POST", "/runs/search", _EXPERIMENT),
    ("run_view_type", "POST", "/runs/search", _EXPERIMENT),
    ("model_id", "POST", "/model-versions/create", {"name": "<a.model>", "source": "x"}),
    ("run_id", "POST", "/model-versions/create", {"name": "<a.model>", "source": "x"}),
    ("version", "PATCH", "/model-versions/update", {"name": "<a.model>", "description": "d"}),
    ("experiment_id", "POST", "/runs/create", {"start_time": 1}),
    ("start_time", "POST", "/runs/create", {"experiment_id": "<a.experiment>"}),
)
#: Lists of objects, with a member that has another shape.
_NESTED: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("metrics", "model_id", {"key": "m", "value": 1, "timestamp": 1}),
    ("metrics", "key", {"value": 1, "timestamp": 1}),
    ("metrics", "value", {"key": "m", "timestamp": 1}),
    ("metrics", "step", {"key": "m", "value": 1, "timestamp": 1}),
    ("params", "value", {"key": "p"}),
    ("tags", "key", {"value": "v"}),
)


def cases() -> Iterator[Case]:
    yield from _sizes()
    yield from _searches()
    yield from _shapes()


def _sizes() -> Iterator[Case]:
    for name, length in _DATASET.items():
        dataset = {"name": "d", "digest": "1", "source_type": "local", "source": "{}", name: "x" * length}
        body = {"run_id": "<a.run>", "datasets": [{"dataset": dataset, "tags": []}]}
        yield Case(
            f"a dataset with a long {name}", 27, (post(f"{V2}/runs/log-inputs", body),), refused=0, only="hokusai"
        )
    yield Case("more tags than one run may have", 27, play=_tags, only="own")  # a separate MLflow has no such bound


def _tags(scene: Scene) -> None:
    run = {"experiment_id": "<a.experiment>", "start_time": 1}
    made = json.loads(scene.need(post(f"{V2}/runs/create", run), "a.write").body)["run"]["info"]["run_id"]
    for batch in range(12):
        tags = [{"key": f"{batch}-{number}", "value": "v"} for number in range(100)]
        answer = scene.do(post(f"{V2}/runs/log-batch", {"run_id": made, "tags": tags}), "a.write")
    assert answer.status == 400, answer.status


def _searches() -> Iterator[Case]:
    for what, (method, fields) in _SEARCHES.items():
        for name, text in _DISGUISES.items():
            step = _search(method, what, {**fields, "filter": text})
            yield Case(f"many conditions, {name}: {what}", 28, (step,), refused=0, only="hokusai")
        terms: list[Any] = [{"field_name": "name"}] * 11 if what == "logged-models" else ["name"] * 11
        step = _search(method, what, {**fields, "order_by": terms})
        yield Case(f"an order of many terms: {what}", 28, (step,), refused=0, only="hokusai")
    yield Case("everybody waits for filters", 28, play=_nobody_waits, only="hokusai")


def _search(method: str, what: str, fields: Mapping[str, Any]) -> Step:
    target = f"{V2}/{what}/search"
    # The angle brackets of a word stay as they are.
    return post(target, fields) if method == "POST" else get(f"{target}?{urlencode(fields, doseq=True, safe='<>')}")


def _nobody_waits(scene: Scene) -> None:
    """Eight clients send the longest filters that are allowed, and others that are not."""
    headers = (*scene.credentials("a.read"), ("Content-Type", "application/json"))
    victim = scene.credentials("b.write")
    experiment = scene.fill("<a.experiment>")

    def attack(number: int) -> None:
        with scene.fresh(seconds=120) as wire:
            for count in (30, 400, 30):
                text = " and ".join(f"tags.a{'!' * (number % 2)}='{one}'" for one in range(count))
                body = json.dumps({"experiment_ids": [experiment], "filter": text[:10_000], "max_results": 1})
                wire.request("POST", f"{V2}/logged-models/search", headers, body.encode())

    attacks = [threading.Thread(target=attack, args=(number,)) for number in range(8)]
    for one in attacks:
        one.start()
    slowest = 0.0
    while any(one.is_alive() for one in attacks):
        start = time.monotonic()
        assert scene.wire("ready").request("GET", "/ready").status == 200
        found = scene.wire("victim").request("GET", scene.fill(f"{V2}/runs/get?run_id=<b.run>"), victim)
        assert found.status == 200, found.status
        slowest = max(slowest, time.monotonic() - start)
        time.sleep(0.1)
    assert slowest < 5, f"another workspace waited for {slowest:.1f} s"


def _shapes() -> Iterator[Case]:
    for shape, value in _SHAPES.items():
        for name, method, route, others in _FIELDS:
            step = send(method, V2 + route, {**others, name: value})
            yield Case(f"{shape} as {name}: {route}", 34, (step,), refused=0)
        for listed, name, others in _NESTED:
            body = {"run_id": "<a.run>", listed: [{**others, name: value}]}
            yield Case(f"{shape} as {listed}.{name}", 34, (post(f"{V2}/runs/log-batch", body),), refused=0)
