"""Threats 20 to 23: guessed keys, ended keys, keys used beyond their permissions, keys in the wrong place."""

from __future__ import annotations

import base64
import string
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tests.attacks.case import FILES, V1, V2, Case, Pairs, Step, get, owned, post, raw, send
from tests.attacks.catalogue.requests import DELETES, QUIET, READS, UNDOINGS, WRITES

if TYPE_CHECKING:
    from tests.attacks.scene import Scene

_RUN = f"{V2}/runs/get?run_id=<a.run>"
_READ = owned(READS["run"], shows="marker")


def cases() -> Iterator[Case]:
    yield from _guesses()
    yield from _ended()
    yield from _stronger()
    yield from _misplaced()


def _made_up(environment: str = "live") -> str:
    """A key of the right form, checksum and all, that was never given out."""
    alphabet = string.digits + string.ascii_uppercase + string.ascii_lowercase
    before, number, end = f"hk_{environment}_{'0' * 31}A", 0, ""
    number = zlib.crc32(before.encode())
    for _ in range(6):
        number, digit = divmod(number, 62)
        end = alphabet[digit] + end
    return before + end


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


_CREDENTIALS: dict[str, Pairs] = {
    "none": (("Authorization", ""),),
    "Bearer alone": (("Authorization", "Bearer"),),
    "made up": (("Authorization", f"Bearer {_made_up()}"),),
    "made up, of a test": (("Authorization", f"Bearer {_made_up('test')}"),),
    "an id": (("Authorization", "Bearer <b.key_id>"),),
    "a hint": (("Authorization", "Bearer hk_live_"),),
    "a percent sign": (("Authorization", "Bearer %"),),
    "a star": (("Authorization", "Bearer *"),),
    "SQL": (("Authorization", "Bearer ' OR '1'='1"),),
    "null": (("Authorization", "Bearer null"),),
    "undefined": (("X-API-Key", "undefined"),),
    "a NUL": (("Authorization", f"Bearer {_made_up()}%00"),),
    "long": (("Authorization", "Bearer hk_live_" + "a" * 30_000),),
    "letters beyond ASCII": (("Authorization", "Bearer hk_live_" + "ａ" * 38),),
    "a JWT of nobody": (("Authorization", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJvcGVyYXRvciJ9."),),
    "Basic admin": (("Authorization", _basic("admin", "password1234")),),
    "Basic operator": (("Authorization", _basic("operator", "operator")),),
    "Basic empty": (("Authorization", _basic("", "")),),
    "Basic without a colon": (("Authorization", "Basic " + base64.b64encode(b"operator").decode()),),
    "Basic of rubbish": (("Authorization", "Basic %%%"),),
    "Digest": (("Authorization", 'Digest username="operator"'),),
    "Negotiate": (("Authorization", "Negotiate YII="),),
    "two": (("Authorization", f"Bearer {_made_up()}"), ("Authorization", "Bearer <a.key>x")),
    "two headers": (("X-API-Key", _made_up()), ("Authorization", "Bearer <a.key>")),
    "another's and one's own": (("X-API-Key", "<a.key>"), ("Authorization", f"Bearer {_made_up()}")),
    "in lower case": (("Authorization", "Bearer <a.lower_key>"),),
    "one character off": (("Authorization", "Bearer <a.wrong_key>"),),
    "the environment changed": (("Authorization", "Bearer <a.test_key>"),),
}


def _guesses() -> Iterator[Case]:
    for name, headers in _CREDENTIALS.items():
        for what in (READS["run"], WRITES["run-tag"], READS["artifact"], get(f"{V1}/workspaces")):
            step = replace(what, headers=(*headers, *what.headers), by="nobody")
            yield Case(f"credentials {name}: {what.method} {what.target.partition('?')[0]}", 20, (step,), refused=0)
    for headers in ((), (("Authorization", f"Bearer {_made_up()}"),)):
        for actor in ("nobody", "a.read", "a.write", "a.admin"):
            how = "bare" if not headers else "with a candidate"
            body = {"api_key": _made_up(), "service_id": "platform"} if not headers else {}
            own = (("X-API-Key", f"<a.{actor[2:]}_key>"),) if actor != "nobody" else ()
            step = post(f"{V1}/keys/validate", body, *headers, *own, by="nobody")
            yield Case(f"validate as an oracle, {how}, as {actor}", 20, (step,), refused=0)
    for actor in ("a.read", "a.write", "a.admin"):
        own = ("X-API-Key", f"<a.{actor[2:]}_key>")
        body = {"api_key": "<a.read_key>", "service_id": "platform"}
        step = post(f"{V1}/keys/validate", body, own, by="nobody")
        yield Case(f"validate as an oracle, about a good key, as {actor}", 20, (step,), refused=0)
    yield Case("three hundred guesses leave a good key good", 20, play=_flood, only="hokusai")


def _flood(scene: Scene) -> None:
    """Guesses are refused one and all, and whoever asks from elsewhere is served meanwhile."""
    with scene.fresh(source="127.0.251.9") as guesser:
        answers = []
        for number in range(301):
            guess = _made_up() + (str(number) if number % 2 else "")
            answers.append(guesser.request("GET", scene.fill(_RUN), [("Authorization", f"Bearer {guess}")]))
            assert answers[-1].status in {401, 429}, answers[-1].status
        refused = [answer for answer in answers[-20:] if answer.status == 429]
        assert len(refused) > 10, "whoever guesses is not slowed down"  # one more each second is let through
        assert all(answer.header("retry-after") for answer in refused), "nobody says until when"
    answer = scene.do(get(_RUN), "a.write")
    assert answer.status == 200, f"the key of another address: {answer.status}"


_ROUTES = (
    get(_RUN),
    post(f"{V2}/runs/set-tag", {"run_id": "<a.run>", "key": "k", "value": "v"}),
    get("/api/2.0/mlflow-artifacts/artifacts/<a.file>"),
    get(f"{V1}/keys/self"),
)


def _refused_everywhere(scene: Scene, key: str, *, within: float = 0.0) -> None:
    """No route takes the key; revocation has ``within`` seconds."""
    end = time.monotonic() + within
    for step in _ROUTES:
        for header in (("Authorization", f"Bearer {key}"), ("X-API-Key", key), ("Authorization", _basic("x", key))):
            asked = replace(step, headers=(header, *step.headers))
            sent = time.monotonic()
            while (answer := scene.do(asked, "nobody")).status < 300 and sent < end:
                time.sleep(0.05)
                sent = time.monotonic()
            assert answer.status in {401, 403}, f"{step.method} {step.target}: {answer.status}"


def _works(scene: Scene, key: str) -> None:
    answer = scene.do(get(_RUN, ("Authorization", f"Bearer {key}")), "nobody")
    assert answer.status == 200, f"the key did not even work before: {answer.status}"


def _revoked(scene: Scene) -> None:
    made = scene.new_key_facts("a")
    _works(scene, made["key"])
    scene.operate("DELETE", f"{V1}/keys/{made['key_id']}")
    _refused_everywhere(scene, made["key"], within=2)


def _expired(scene: Scene) -> None:
    key = scene.new_key("a", expires="1s")
    time.sleep(1.1)
    _refused_everywhere(scene, key)


def _rotated(scene: Scene) -> None:
    made = scene.new_key_facts("a")
    _works(scene, made["key"])
    new = scene.operate("POST", f"{V1}/keys/{made['key_id']}/rotate", {"overlap": "0s"})
    _refused_everywhere(scene, made["key"], within=2)
    _works(scene, new["key"])


def _suspended(scene: Scene) -> None:
    owner = scene.owner()
    key = scene.new_key("c")
    step = get(f"{V2}/runs/get?run_id=<c.run>", ("Authorization", f"Bearer {key}"))
    assert scene.do(step, "nobody").status == 200
    scene.operate("POST", f"{V1}/workspaces/{owner.tenant.name}/suspend", {})
    try:
        _refused_everywhere(scene, key, within=2)
    finally:
        scene.operate("POST", f"{V1}/workspaces/{owner.tenant.name}/resume", {})


def _made_with(**facts: Any) -> Callable[[Scene], None]:
    def play(scene: Scene) -> None:
        _refused_everywhere(scene, scene.new_key("a", **facts))

    return play


def _parent_revoked(scene: Scene) -> None:
    """Whoever is revoked cannot act through what it remembers."""
    made = scene.new_key_facts("a", permissions=["admin"])
    headers = (("Authorization", f"Bearer {made['key']}"),)
    assert scene.do(get(f"{V1}/keys", *headers), "nobody").status == 200
    scene.operate("DELETE", f"{V1}/keys/{made['key_id']}")
    body = {"name": "child", "permissions": ["read"]}
    answer = scene.do(post(f"{V1}/keys", body, *headers), "nobody")
    assert answer.status in {401, 403}, f"a revoked key made a key: {answer.status}"


def _ended() -> Iterator[Case]:
    stories: dict[str, Callable[[Scene], None]] = {
        "revoked": _revoked,
        "expired": _expired,
        "rotated out": _rotated,
        "of a suspended workspace": _suspended,
        "for another service": _made_with(service_id="elsewhere"),
        "for other addresses": _made_with(allow_ips=["10.0.0.0/8"]),
        "for other addresses, IPv6": _made_with(allow_ips=["::1/128"]),
        "that made keys, revoked": _parent_revoked,
    }
    for name, play in stories.items():
        yield Case(f"a key {name}", 21, play=play, only="hokusai")


def _stronger() -> Iterator[Case]:
    control = owned(post(f"{V1}/keys", {"name": "fine", "permissions": ["read"]}), shows="success", by="c.admin")
    bodies: dict[str, dict[str, Any]] = {
        "operator": {"permissions": ["operator"]},
        "service": {"permissions": ["service"]},
        "workspaces:write": {"permissions": ["workspaces:write"]},
        "keys:validate": {"permissions": ["read", "keys:validate"]},
        "metrics:read": {"permissions": ["metrics:read"]},
        "a star": {"permissions": ["*"]},
        "another workspace": {"permissions": ["read"], "workspace": "<b.workspace>"},
        "no workspace": {"permissions": ["operator"], "workspace": None},
        "the default workspace": {"permissions": ["read"], "workspace": "default"},
        "a workspace in capitals": {"permissions": ["read"], "workspace": "B-WORKSPACE"},
        "another user": {"permissions": ["read"], "user_id": "operator"},
        "another service": {"permissions": ["read"], "service_id": "elsewhere"},
        "another environment": {"permissions": ["read"], "environment": "test"},
        "a greater rate": {"permissions": ["read"], "rate": "2000001/h"},
        "an id of its own": {"permissions": ["read"], "key_id": "<b.key_id>"},
        "a creator of its own": {"permissions": ["read"], "created_by": "<b.key_id>"},
        "a state of its own": {"permissions": ["read"], "state": "active"},
        "a key of its own": {"permissions": ["read"], "key": "hk_live_x"},
        "nothing": {"permissions": []},
        "an end in the past": {"permissions": ["read"], "expires_at": "2000-01-01T00:00:00Z"},
        "two ends": {"permissions": ["read"], "expires": "1d", "expires_at": "2999-01-01T00:00:00Z"},
    }
    for name, body in bodies.items():
        step = post(f"{V1}/keys", {"name": "more", **body})
        yield Case(f"a key with {name}", 22, (step,), "a.admin", refused=0, control=control)
    for role in ("read", "write"):
        step = post(f"{V1}/keys", {"name": "more", "permissions": ["read"]})
        yield Case(f"a key made by {role}", 22, (step,), f"a.{role}", refused=0, control=control)
        for path in (f"{V1}/keys", f"{V1}/keys/<a.key_id>", f"{V1}/usage/<a.key_id>/stats"):
            yield Case(f"GET {path} as {role}", 22, (get(path),), f"a.{role}", refused=0)
    for permission, steps in _NARROW.items():
        yield Case(f"a key with {permission} alone", 22, play=_narrow(permission, *steps), only="hokusai")
    yield from _their_keys()
    yield from _read_only()


def _narrow(permission: str, *steps: Step) -> Callable[[Scene], None]:
    """A key with one permission reaches nothing that takes another."""

    def play(scene: Scene) -> None:
        key = scene.new_key("a", permissions=[permission])
        for step in steps:
            asked = replace(_own(step), headers=(("Authorization", f"Bearer {key}"), *step.headers))
            answer = scene.do(asked, "nobody")
            assert answer.status == 403, f"{step.method} {step.target}: {answer.status}"

    return play


_FILE_READS = (READS["artifact"], QUIET["artifact-head"], QUIET["artifact-range"], get(f"{FILES}?path=<b.root>"))
_NARROW = {
    "models:read": (*_FILE_READS, READS["run"], READS["logged-model"], READS["experiment"]),
    "runs:read": (*_FILE_READS, READS["registered-model"], READS["version"], QUIET["download-uri"]),
    "artifacts:read": (READS["run"], READS["registered-model"], READS["runs-search"], WRITES["artifact-add"]),
    "keys:read": (*_FILE_READS, READS["run"], READS["registered-model"], post(f"{V1}/keys", {})),
}


def _their_keys() -> Iterator[Case]:
    steps = {
        "show": get(f"{V1}/keys/<b.key_id>"),
        "revoke": send("DELETE", f"{V1}/keys/<b.key_id>", ""),
        "revoke the admin's": send("DELETE", f"{V1}/keys/<b.admin_key_id>", ""),
        "rotate": post(f"{V1}/keys/<b.key_id>/rotate", {"overlap": "0s"}),
        "rotate for longer": post(f"{V1}/keys/<b.key_id>/rotate", {"overlap": "24h", "expires": "3650d"}),
        "usage": get(f"{V1}/usage/<b.key_id>/stats"),
    }
    for name, step in steps.items():
        refusal = Case(f"another's key: {name}", 22, (step,), "a.admin", refused=0, alike="admin's" not in name)
        shows = "success"
        yield replace(refusal, control=owned(step, shows=shows, by="c.admin"))
    add = post(f"{V1}/usage/<b.sleeping_key_id>", {"requests": 10**9})
    yield Case("another's key: add to its usage", 22, (add,), "a.admin", refused=0, alike=True)
    token = get(f"{V1}/keys?limit=1&page_token=<b.key_id>")
    yield Case("another's key as a page token", 22, (token,), "a.admin", refused=0)
    for query in ("workspace=<b.workspace>", "workspace=<b.workspace>&workspace=<a.workspace>", "limit=1000"):
        step = get(f"{V1}/keys?{query}")
        yield Case(f"keys ?{query}", 22, play=_without(step, "<b.key_id>"))


def _without(step: Step, word: str) -> Callable[[Scene], None]:
    def play(scene: Scene) -> None:
        found = scene.do(step, "a.admin")
        assert scene.fill(word).encode() not in found.body, "the victim's key is listed"

    return play


def _read_only() -> Iterator[Case]:
    """A ``read`` key on every route that writes, about its own workspace's things; ``write`` on hard deletes."""
    for name, step in {**WRITES, **{name: step for name, (_, step) in UNDOINGS.items()}}.items():
        own = replace(_own(step), by="a.read")
        shown = owned(*UNDOINGS[name], shows="success") if name in UNDOINGS else owned(step, shows="change")
        yield Case(f"a read key: {name}", 22, (own,), refused=0, control=shown)
    for name, step in DELETES.items():
        control = owned(step, shows="change", by="c.admin")
        for role in ("read", "write"):
            own = replace(_own(step), by=f"a.{role}")
            only = "hokusai" if role == "write" else None  # in MLflow, EDIT includes some deletes
            yield Case(f"a {role} key: {name}", 22, (own,), refused=0, control=control, only=only)


def _own(step: Step) -> Step:
    body = step.body.replace("<b.", "<a.") if isinstance(step.body, str) else step.body
    return replace(step, target=step.target.replace("<b.", "<a."), body=body)


_IN_URL = (
    "api_key={}",
    "key={}",
    "access_token={}",
    "token={}",
    "authorization=Bearer%20{}",
    "run_id={}",
    "filter={}",
)


def _misplaced() -> Iterator[Case]:
    """A key in a URL is refused, also beside a good one, and said nowhere."""
    for pattern in _IN_URL:
        for actor in ("nobody", "a.write"):
            step = get(f"{V2}/runs/get?run_id=<a.run>&{pattern.format('<a.key>')}", by=actor)
            yield Case(f"key in ?{pattern} as {actor}", 23, play=_unsaid(step), only="hokusai")
    for path in ("/<a.key>", f"{V2}/<a.key>", f"{V1}/keys/<a.key>", "/api/2.0/mlflow-artifacts/artifacts/<a.key>"):
        yield Case(f"key in {path}", 23, play=_unsaid(get(path)), only="hokusai")
    for name, step in {
        "encoded": get(f"{V2}/runs/get?run_id=<a.run>&k=<a.coded_key>"),
        "encoded twice": get(f"{V2}/runs/get?run_id=<a.run>&k=<a.twice_coded_key>"),
        "as the host's user": get("http://x:<a.key>@<host>/health"),
        "in a fragment": get(f"{V2}/runs/get?run_id=<a.run>#<a.key>"),
        "as a page token": get(f"{V1}/keys?page_token=<a.key>", by="a.admin"),
    }.items():
        yield Case(f"key in the URL {name}", 23, play=_unsaid(step), only="hokusai")
    for header in ("Cookie", "X-Auth-Token", "X-Api-Token", "Api-Key", "Proxy-Authorization", "X-Hokusai-Api-Key"):
        step = get(_RUN, (header, "<a.key>"), by="nobody")
        yield Case(f"key in {header}", 23, play=_unsaid(step), only="hokusai")
    for name, body in {
        "in a name": {"name": "<a.key>"},
        "in a tag": {"name": "named <kept.nonce>", "tags": [{"key": "<a.key>", "value": 1.5}]},
        "in a wrong field": {"nam": "<a.key>"},
    }.items():
        step = post(f"{V2}/registered-models/create?x=1", body)
        yield Case(f"key in a body {name}", 23, play=_unmade(step), only="hokusai")
    malformed = raw("GET /health HTTP/1.1\nHost: <host>\nAuthorization Bearer <a.key>\n\n")
    yield Case("key in a malformed head", 23, play=_unsaid(malformed), only="hokusai")


def _unsaid(step: Step) -> Callable[[Scene], None]:
    def play(scene: Scene) -> None:
        answer = scene.do(step, "a.write")
        assert answer.status == 0 or 400 <= answer.status < 500, f"it was accepted: {answer.status}"
        for form in _spelled(scene.a.words["key"]):
            assert form.encode() not in answer.raw, "the answer repeats the key"

    return play


def _unmade(step: Step) -> Callable[[Scene], None]:
    """A key in a body may be anybody's text; an error does not repeat it."""

    def play(scene: Scene) -> None:
        answer = scene.do(step, "a.write")
        assert answer.status < 400 or scene.a.words["key"].encode() not in answer.raw, "an error repeats the key"

    return play


def _spelled(key: str) -> tuple[str, ...]:
    coded = "".join(f"%{ord(letter):02x}" for letter in key)
    return key, coded, quote(coded), key[::-1]
