"""Threats 29, 30 and 36: files changed past the server, what nobody pays for, and names that end at a '?'."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from tests.attacks.case import FILES, V1, V2, Case, Step, get, post, put

if TYPE_CHECKING:
    from tests.attacks.scene import Scene

_QUERIES = ("?v=2.bin", "?", "??", "?x", "?=", "?path=weights", "?page_token=1", ";v=1?x", "?a=1&b=2", "?%00", "?%zz")
_FIRST = "the first weights"
_SMALL, _LARGE = "w" * 1000, "w" * 3_000_000
_RANGES = ("bytes=0-9", "bytes=-9", "bytes=0-", "bytes=0-1,5-9")


def cases() -> Iterator[Case]:
    for prefix in ("", "/api/mlflow"):
        for method in ("PUT", "GET", "HEAD", "DELETE", "POST"):
            for query in _QUERIES:
                play = partial(_asked, method, prefix, query)
                yield Case(f"{method} {prefix}…/weights{query}", 36, play=play, only="hokusai")
    for size, content in (("small", _SMALL), ("large", _LARGE)):
        for change, altered in _CHANGES.items():
            yield Case(
                f"a {size} file, {change}: whole", 29, play=partial(_changed, content, altered, ""), only="hokusai"
            )
            for wanted in _RANGES:
                name = f"a {size} file, {change}: range {wanted}"
                yield Case(name, 29, play=partial(_changed, content, altered, wanted), only="hokusai")
    for name, play in _STORIES.items():
        yield Case(f"story: {name}", 30, play=play, only="hokusai")


def _asked(method: str, prefix: str, query: str, scene: Scene) -> None:
    """With a query it is another file's name, or nobody's: the file whose name ends before it stays as it was."""
    own = put("query/weights", _FIRST)
    scene.need(own, "a.admin")
    file = f"{prefix}{FILES}/query/weights"
    answer = scene.do(Step(method, file + query, "" if method in {"GET", "HEAD", "DELETE"} else "other"), "a.admin")
    wanted = {400, 404} if method == "POST" else {400}
    assert answer.status in wanted, f"it was answered {answer.status}"
    kept = scene.do(get(f"{FILES}/query/weights"), "a.admin")
    assert kept.body == _FIRST.encode(), f"the file is another one: {kept.status} {kept.body[:60]!r}"


_CHANGES: dict[str, Callable[[str], str]] = {
    "one byte of it": lambda text: text[:-1] + "!",
    "longer": lambda text: text + "!",
    "shorter": lambda text: text[:-1],
    "empty": lambda text: "",
    "another one": lambda text: "x" * len(text),
}


def _changed(content: str, altered: Callable[[str], str], wanted: str, scene: Scene) -> None:
    """Whoever can write to the store cannot make the server hand out other bytes as the uploaded ones."""
    owner = scene.c or scene.owner()
    path = scene.fill("rest/<nonce>")
    scene.need(put(path, content), "c.write")
    scene.target.tamper(f"workspaces/{owner.tenant.name}/{path}", altered(content).encode())
    headers = [("Range", wanted)] if wanted else []
    for _ in range(2):
        with scene.fresh() as wire:
            answer = wire.request("GET", f"{FILES}/{path}", [*headers, *scene.credentials("c.write")])
            scene.answers.append(answer)
            whole = answer.status in {200, 206} and len(answer.body) == int(
                dict(answer.headers).get("content-length", 0)
            )
            assert not whole, f"the changed file was served: {answer.status} {answer.body[:60]!r}"
    again = scene.do(get(f"{FILES}/{path}", *headers), "c.write")
    assert again.status == 409, f"it is not refused at once: {again.status}"


def _bounded(scene: Scene, **quota: int) -> str:
    owner = scene.owner()
    scene.operate("PATCH", f"{V1}/workspaces/{owner.tenant.name}", {"quota": quota})
    return owner.tenant.name


def _use(scene: Scene, name: str) -> dict[str, int]:
    found: dict[str, int] = scene.operate("GET", f"{V1}/workspaces/{name}")["use"]
    return found


def _quota_of_nothing(scene: Scene) -> None:
    """A workspace that may store nothing stores nothing in MLflow either."""
    name = _bounded(scene, bytes=0)
    before = _use(scene, name)["tracking_bytes"]
    many = [{"key": f"k{number}", "value": "v" * 4000} for number in range(100)]
    steps = (
        post(f"{V2}/runs/log-batch", {"run_id": "<c.run>", "tags": many}),
        post(f"{V2}/runs/set-tag", {"run_id": "<c.run>", "key": "k", "value": "v" * 4000}),
        post(f"{V2}/experiments/create", {"name": "e-<kept.nonce>", "tags": many[:10]}),
        post(f"{V2}/runs/create", {"experiment_id": "<c.experiment>", "tags": many[:10]}),
        post(f"{V2}/registered-models/create", {"name": "m-<kept.nonce>", "description": "d" * 4000}),
    )
    for step in steps:
        answer = scene.do(step, "c.write")
        assert answer.status == 413, f"{step.target}: {answer.status}"
    assert _use(scene, name)["tracking_bytes"] <= before, "it is counted all the same"


def _crowd(scene: Scene) -> None:
    """Two hundred requests at once do not store more in MLflow than one after the other may."""
    owner = scene.owner()
    bound = _use(scene, owner.tenant.name)["tracking_bytes"] + 300_000
    scene.operate("PATCH", f"{V1}/workspaces/{owner.tenant.name}", {"quota": {"bytes": bound}})
    headers = [*scene.credentials("c.write"), ("Content-Type", "application/json")]

    def tag(number: int) -> int:
        body = json.dumps({"run_id": owner.words["run"], "key": f"crowd{number}", "value": "v" * 4000}).encode()
        with scene.fresh() as wire:
            return wire.request("POST", f"{V2}/runs/set-tag", headers, body).status

    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(tag, range(200)))
    assert set(statuses) == {200, 413}, set(statuses)
    assert statuses.count(200) * 4000 <= 300_000 + 64 * 1024, f"{statuses.count(200)} tags of 4,000 bytes were stored"
    assert _use(scene, owner.tenant.name)["tracking_bytes"] <= bound


def _directories(scene: Scene) -> None:
    """Twenty empty files do not make hundreds of directories in a workspace that may have twenty files."""
    owner = scene.owner()
    files = _use(scene, owner.tenant.name)["files"]
    scene.operate("PATCH", f"{V1}/workspaces/{owner.tenant.name}", {"quota": {"files": files + 20}})
    statuses = [scene.do(put(f"{number}/{'d/' * 28}f", ""), "c.write").status for number in range(20)]
    assert 413 in statuses, "directories cost nothing"
    assert statuses.count(200) * 30 <= 8 * (files + 20), f"{statuses.count(200)} files of 30 names were stored"


_STORIES: dict[str, Callable[[Scene], None]] = {
    "a quota of nothing, and MLflow": _quota_of_nothing,
    "two hundred requests and a quota": _crowd,
    "directories of empty files": _directories,
}
