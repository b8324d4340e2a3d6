"""Threats 32, 35 and 37: ways round the rights of keys and names, names that mislead, and the operator's own slips."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tests.attacks.case import FILES, V1, V2, Case, Pairs, Step, get, owned, post, send

if TYPE_CHECKING:
    from tests.attacks.scene import Scene
    from tests.attacks.wire import Answer


def cases() -> Iterator[Case]:
    for name, play in {**_KEYS, **_NAMES}.items():
        yield Case(name, 32, play=play, only="hokusai")
    for how, step in _TOUCHING.items():
        yield Case(f"a protected alias: {how}", 32, play=_protected(step), only="hokusai")
    yield from _misleading()
    yield from _origins()
    for name, play in _SLIPS.items():
        yield Case(name, 37, play=play, only="hokusai")


def _as(key: str) -> Pairs:
    return (("Authorization", f"Bearer {key}"),)


def _refused(answer: Answer, what: str, *statuses: int) -> None:
    assert answer.status in statuses, f"{what}: {answer.status}"


# Keys


def _colleague(scene: Scene) -> None:
    """Whoever rotates a key holds one that acts as its user."""
    theirs = scene.new_key_facts("a", user_id="colleague", permissions=["read"])
    for body in ({}, {"overlap": "0s"}, {"overlap": "24h", "expires": "1d"}):
        answer = scene.do(post(f"{V1}/keys/{theirs['key_id']}/rotate", body), "a.admin")
        _refused(answer, "a colleague's key was rotated", 403)
    assert scene.do(get(f"{V1}/keys/self", *_as(theirs["key"])), "nobody").status == 200


def _longer(scene: Scene) -> None:
    made = scene.new_key_facts("a", user_id="me", permissions=["admin"], expires="1h")
    for body in ({"expires": "2h"}, {"expires_at": "2999-01-01T00:00:00Z"}):
        answer = scene.do(post(f"{V1}/keys/{made['key_id']}/rotate", body, *_as(made["key"])), "nobody")
        _refused(answer, "a key made itself last longer", 403)
    stronger = scene.new_key_facts("a", user_id="me", permissions=["admin"])
    answer = scene.do(post(f"{V1}/keys/{stronger['key_id']}/rotate", {}, *_as(made["key"])), "nobody")
    _refused(answer, "a key got a longer one by rotation", 403)


def _descendants(scene: Scene) -> None:
    """Three generations end with their first, on every server."""
    keys = [scene.new_key_facts("a", permissions=["admin"])]
    for number in range(3):
        body = {"name": f"generation {number}", "permissions": ["admin"]}
        answer = scene.do(post(f"{V1}/keys", body, *_as(keys[-1]["key"])), "nobody")
        assert answer.status == 201, answer.status
        keys.append(dict(answer.json() or {}))
    scene.operate("DELETE", f"{V1}/keys/{keys[0]['key_id']}?with_descendants=true")
    scene.settle()
    for one in keys:
        answer = scene.do(get(f"{V2}/runs/get?run_id=<a.run>", *_as(one["key"])), "nobody")
        _refused(answer, f"{one['name']} outlived its maker", 401)


def _made_meanwhile(scene: Scene) -> None:
    """A key that makes others as fast as it can leaves none behind when it is revoked with them."""
    parent = scene.new_key_facts("a", permissions=["admin"])
    made: list[str] = []

    def make(_number: int) -> None:
        with scene.fresh() as wire:
            for _ in range(8):
                body = json.dumps({"name": "child", "permissions": ["read"]}).encode()
                headers = [*_as(parent["key"]), ("Content-Type", "application/json")]
                answer = wire.request("POST", f"{V1}/keys", headers, body)
                if answer.status == 201:
                    made.append(str((answer.json() or {})["key"]))

    with ThreadPoolExecutor(3) as threads:
        work = [threads.submit(make, number) for number in range(3)]
        time.sleep(0.1)
        scene.operate("DELETE", f"{V1}/keys/{parent['key_id']}?with_descendants=true")
        for one in work:
            one.result()
    scene.settle()
    for key in made:
        _refused(scene.do(get(f"{V1}/keys/self", *_as(key)), "nobody"), "a child survived", 401)


_KEYS: dict[str, Callable[[Scene], None]] = {
    "a colleague's key, rotated": _colleague,
    "a key that rotates for longer": _longer,
    "descendants of a revoked key": _descendants,
    "keys made during a revocation": _made_meanwhile,
}


# Names of models


def _create(name: str) -> Step:
    return post(f"{V2}/registered-models/create", {"name": name})


def _rename(old: str, new: str) -> Step:
    return post(f"{V2}/registered-models/rename", {"name": old, "new_name": new})


def _taken_over(scene: Scene) -> None:
    """Whoever loads a model by its old name gets it or nothing, never another one."""
    for name in ("fraud <kept.nonce>", "mine <kept.nonce>"):
        scene.need(_create(name), "a.write")
    scene.need(_rename("fraud <kept.nonce>", "fraud-old <kept.nonce>"), "a.write")
    attempts = [_create("fraud <kept.nonce>"), _rename("mine <kept.nonce>", "fraud <kept.nonce>")]
    attempts += [_create("FRAUD <kept.nonce>"), _create("ｆｒａｕｄ <kept.nonce>")]
    for step in attempts:
        _refused(scene.do(step, "a.admin"), f"an old name was given out: {step.body!r}", 409)
    gone = send("DELETE", f"{V2}/registered-models/delete", {"name": "fraud-old <kept.nonce>"})
    scene.need(gone, "a.admin")
    _refused(scene.do(_create("fraud <kept.nonce>"), "a.admin"), "an old name was given out", 409)


def _taken_in_a_race(scene: Scene) -> None:
    """One renames, others create under the old name: at most one model has ever had it at a time."""
    headers = [*scene.credentials("a.write"), ("Content-Type", "application/json")]
    for turn in range(4):
        old, new = scene.fill(f"race{turn} <kept.nonce>"), scene.fill(f"raced{turn} <kept.nonce>")
        scene.need(_create(old), "a.write")

        def ask(step: Step) -> int:
            with scene.fresh() as wire:
                return wire.request(step.method, step.target, headers, str(step.body).encode()).status

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(ask, [_create(old), _rename(old, new), _create(old), _create(old)]))
        there = [
            scene.do(post(f"{V2}/registered-models/get-latest-versions", {"name": name}), "a.write").status
            for name in (old, new)
        ]
        assert sorted(there) == [200, 404], f"two models where one was renamed: {there}"


_NAMES: dict[str, Callable[[Scene], None]] = {
    "an old name of a model, taken over": _taken_over,
    "an old name of a model, taken in a race": _taken_in_a_race,
}

_ALIAS = f"{V2}/registered-models/alias"
_TOUCHING = {
    "set": post(_ALIAS, {"name": "<c.registered>", "alias": "released", "version": "1"}),
    "set, in capitals": post(_ALIAS, {"name": "<c.registered>", "alias": "RELEASED", "version": "1"}),
    "moved": post(_ALIAS, {"name": "<c.registered>", "alias": "best", "version": "2"}),
    "moved by the tracking prefix": post(
        f"/api/mlflow{_ALIAS}", {"name": "<c.registered>", "alias": "best", "version": "2"}
    ),
    "moved by ajax": post(
        _ALIAS.replace("/api/", "/ajax-api/"), {"name": "<c.registered>", "alias": "best", "version": "2"}
    ),
    "removed": send("DELETE", _ALIAS, {"name": "<c.registered>", "alias": "best"}),
    "renamed away": _rename("<c.registered>", "away <kept.nonce>"),
    "deleted with its version": send(
        "DELETE", f"{V2}/model-versions/delete", {"name": "<c.registered>", "version": "1"}
    ),
    "deleted with its model": send("DELETE", f"{V2}/registered-models/delete", {"name": "<c.registered>"}),
}


def _protected(step: Step) -> Callable[[Scene], None]:
    """A team's own key without ``models:promote`` does not touch it, whatever else it may do."""

    def play(scene: Scene) -> None:
        owner = scene.owner()
        body = {"protected_aliases": ["released", "best"]}
        scene.operate("PATCH", f"{V1}/workspaces/{owner.tenant.name}", body)
        scene.settle()
        narrow = ["write", "models:delete", "artifacts:delete"]
        for permissions in (["write"], narrow):
            key = scene.new_key("c", permissions=permissions)
            asked = Step(step.method, step.target, step.body, (*_as(key), *step.headers))
            _refused(scene.do(asked, "nobody"), "a protected alias was touched", 403, 404)
        found = scene.do(get(f"{_ALIAS}?name=<c.registered>&alias=best"), "c.write")
        version = (found.json() or {}).get("model_version", {}).get("version")
        assert version == "1", f"the alias is elsewhere: {found.status} {version}"

    return play


# Names that mislead, and pages of other sites

_HIDDEN = {
    "a zero-width space": "a\u200bb",
    "a joiner": "a\u200db",
    "a non-joiner": "a\u200cb",
    "a word joiner": "a\u2060b",
    "a byte-order mark": "\ufeffab",
    "a soft hyphen": "a\u00adb",
    "a Hangul filler": "ab\u3164",
    "a halfwidth filler": "ab\uffa0",
    "a jungseong filler": "a\u1160b",
    "a variation selector": "a\ufe0fb",
    "a tag character": "a\U000e0041b",
    "an empty Braille pattern": "a\u2800b",
    "a space before it": " ab",
    "a space behind it": "ab ",
    "a no-break space behind it": "ab\u00a0",
    "an ideographic space before it": "\u3000ab",
}


def _misleading() -> Iterator[Case]:
    control = owned(post(f"{V2}/registered-models/create", {"name": "fine <kept.nonce>"}), shows="change")
    for how, text in _HIDDEN.items():
        name = (
            f" {text} <kept.nonce>"[1:] if text.endswith("b") or text.startswith("\u3000") else f"<kept.nonce> {text}"
        )
        steps = {
            "registered model": _create(name),
            "renamed model": _rename("<a.registered>", name),
            "experiment": post(f"{V2}/experiments/create", {"name": name}),
            "renamed experiment": post(
                f"{V2}/experiments/update", {"experiment_id": "<a.experiment>", "new_name": name}
            ),
            "alias": post(_ALIAS, {"name": "<a.registered>", "alias": name, "version": "1"}),
        }
        for kind, step in steps.items():
            yield Case(f"{kind} named with {how}", 35, (step,), refused=0, control=control)
        key = post(f"{V1}/keys", {"name": name, "permissions": ["read"]})
        yield Case(f"key named with {how}", 35, (key,), "a.admin", refused=0)
    yield Case("names that look alike", 35, play=_alike, only="hokusai")


def _alike(scene: Scene) -> None:
    scene.need(_create("Fraud detector <kept.nonce>"), "a.write")
    scene.need(_create("other <kept.nonce>"), "a.write")
    for text in ("fraud detector", "FRAUD DETECTOR", "Ｆｒａｕｄ detector", "Fraud\u00a0detector", "Fraud  detector"):
        for step in (_create(f"{text} <kept.nonce>"), _rename("other <kept.nonce>", f"{text} <kept.nonce>")):
            _refused(scene.do(step, "a.write"), f"two models look alike: {text!r}", 409)


_ORIGINS = {
    "another site": (("Origin", "https://evil.example"),),
    "null": (("Origin", "null"),),
    "a longer name": (("Origin", "http://<host>.evil.example"),),
    "another port": (("Origin", "http://127.0.0.1:1"),),
    "two": (("Origin", "http://<host>"), ("Origin", "https://evil.example")),
    "a cross-site fetch": (("Sec-Fetch-Site", "cross-site"),),
}
_KINDS = ("application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")


def _origins() -> Iterator[Case]:
    targets: dict[str, tuple[str, str, Any, str]] = {
        "a model": ("POST", f"{V2}/registered-models/create", {"name": "csrf <kept.nonce>"}, "write"),
        "a tag": ("POST", f"{V2}/runs/set-tag", {"run_id": "<a.run>", "key": "k", "value": "csrf"}, "write"),
        "a file": ("PUT", f"{FILES}/csrf.txt", "csrf", "write"),
        "a key": ("POST", f"{V1}/keys", {"name": "csrf", "permissions": ["read"]}, "admin"),
        "a deletion": ("DELETE", f"{V1}/keys/<a.key_id>", "", "admin"),
    }
    for where, headers in _ORIGINS.items():
        for what, (method, target, body, role) in targets.items():
            for kind in _KINDS if where == "another site" else _KINDS[:1]:
                step = send(method, target, body, *headers, ("Content-Type", kind))
                yield Case(
                    f"{what} from a page of {where}, {kind}", 35, (step,), f"a.{role}", refused=0, only="hokusai"
                )


# The operator's own slips


def _operators(scene: Scene, count: int) -> list[dict[str, Any]]:
    """Operator keys of an environment that has no other: whatever happens to them, the target's own one stays."""
    body = {"name": "operator", "permissions": ["operator"], "environment": "test"}
    return [scene.operate("POST", f"{V1}/keys", body) for _ in range(count)]


def _end_all(scene: Scene, keys: list[dict[str, Any]]) -> None:
    for one in keys:
        scene.operate("DELETE", f"{V1}/keys/{one['key_id']}?yes_lock_me_out=true")


def _last_operator(scene: Scene) -> None:
    keys = _operators(scene, 2)
    scene.operate("DELETE", f"{V1}/keys/{keys[0]['key_id']}")
    last = f"{V1}/keys/{keys[1]['key_id']}"
    try:
        for step in (
            send("DELETE", last, ""),
            send("DELETE", f"{last}?with_descendants=true", ""),
            send("DELETE", last, "", *_as(keys[1]["key"])),
            post(f"{last}/rotate", {"overlap": "0s", "expires": "1s"}),
        ):
            _refused(scene.do(step, "operator"), "the last operator key was ended", 409)
        assert scene.do(get(f"{V1}/workspaces?limit=1", *_as(keys[1]["key"])), "nobody").status == 200
    finally:
        _end_all(scene, keys)


def _both_operators(scene: Scene) -> None:
    for _ in range(3):
        keys = _operators(scene, 2)

        def revoke(key: dict[str, Any]) -> int:
            with scene.fresh() as wire:
                return wire.request("DELETE", f"{V1}/keys/{key['key_id']}", list(scene.target.operator())).status

        with ThreadPoolExecutor(2) as threads:
            statuses = sorted(threads.map(revoke, keys))
        _end_all(scene, keys)
        assert statuses == [200, 409], f"of two, both were ended: {statuses}"


def _found_by_text(scene: Scene) -> None:
    """A key's text tells another workspace nothing, not even that it is a key."""
    answers = [
        scene.do(post(f"{V1}/keys/find", {"key": scene.fill(text)}), "a.admin") for text in ("<b.key>", "<a.wrong_key>")
    ]
    _refused(answers[0], "another's key was found", 404)
    assert scene.fill("<b.key_id>").encode() not in answers[0].body, "its id is told"
    for role in ("read", "write"):
        _refused(scene.do(post(f"{V1}/keys/find", {"key": "<a.key>"}), f"a.{role}"), "a key was found", 403)


_SLIPS: dict[str, Callable[[Scene], None]] = {
    "the last operator key": _last_operator,
    "the last two operator keys, at once": _both_operators,
    "another's key, found by its text": _found_by_text,
}
