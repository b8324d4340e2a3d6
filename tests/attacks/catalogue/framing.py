"""Threats 14 and 15: HTTP that two parsers split differently, and headers that make claims."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.attacks.case import FILES, V2, Case, Step, get, owned, raw
from tests.attacks.catalogue.requests import READS
from tests.attacks.scene import LAST

if TYPE_CHECKING:
    from tests.attacks.scene import Scene

#: A request for the victim's run, as a smuggler wants the server behind to read it: with no key of the victim's.
_HIDDEN = f"GET {V2}/runs/get?run_id=<b.run> HTTP/1.1\nHost: <host>\nX-MLFLOW-WORKSPACE: <b.workspace>\n\n"
_HIDDEN_KEYED = _HIDDEN.replace("\n\n", "\n<auth>\n\n")
_SEARCH = f"{V2}/runs/search"
_TAG = f"POST {V2}/runs/set-tag HTTP/1.1\nHost: <host>\n<auth>\nContent-Type: application/json\n"
_OK_BODY = '{"run_id": "<a.run>", "key": "k", "value": "v"}'

_POST = f"POST {_SEARCH} HTTP/1.1\nHost: <host>\n<auth>\nContent-Type: application/json\n"
_BODY = '{"experiment_ids": ["1"]}'

REQUESTS: dict[str, str] = {
    "CL.TE": f"{_POST}Content-Length: 6\nTransfer-Encoding: chunked\n\n0\n\n{_HIDDEN}",
    "CL.TE, keyed": f"{_POST}Content-Length: 6\nTransfer-Encoding: chunked\n\n0\n\n{_HIDDEN_KEYED}",
    "TE.CL": f"{_POST}Transfer-Encoding: chunked\nContent-Length: 4\n\n5\nabcde\n0\n\n{_HIDDEN}",
    "TE twice": f"{_POST}Transfer-Encoding: chunked\nTransfer-Encoding: identity\n\n0\n\n{_HIDDEN}",
    "TE list": f"{_POST}Transfer-Encoding: gzip, chunked\n\n0\n\n{_HIDDEN}",
    "TE not last": f"{_POST}Transfer-Encoding: chunked, identity\n\n0\n\n{_HIDDEN}",
    "TE spelled xchunked": f"{_POST}Transfer-Encoding: xchunked\nContent-Length: 2\n\n{{}}{_HIDDEN}",
    "TE before a space": f"{_POST}Transfer-Encoding : chunked\nContent-Length: 2\n\n{{}}{_HIDDEN}",
    "TE after a tab": f"{_POST}Transfer-Encoding:\tchunked\n\n0\n\n{_HIDDEN}",
    "TE folded": f"{_POST}Transfer-Encoding:\n chunked\n\n0\n\n{_HIDDEN}",
    "TE in capitals": f"{_POST}TRANSFER-ENCODING: CHUNKED\n\n0\n\n{_HIDDEN}",
    "TE quoted": f'{_POST}Transfer-Encoding: "chunked"\nContent-Length: 2\n\n{{}}{_HIDDEN}',
    "TE with a NUL": f"{_POST}Transfer-Encoding: chunked\0\nContent-Length: 2\n\n{{}}{_HIDDEN}",
    "TE in HTTP/1.0": f"{_POST.replace('HTTP/1.1', 'HTTP/1.0')}Transfer-Encoding: chunked\n\n0\n\n{_HIDDEN}",
    "CL twice": f"{_POST}Content-Length: 2\nContent-Length: 90\n\n{{}}{_HIDDEN}",
    "CL twice, the same": f"{_POST}Content-Length: 2\nContent-Length: 2\n\n{{}}{_HIDDEN}",
    "CL list": f"{_POST}Content-Length: 2, 90\n\n{{}}{_HIDDEN}",
    "CL with a plus": f"{_POST}Content-Length: +2\n\n{{}}{_HIDDEN}",
    "CL below zero": f"{_POST}Content-Length: -2\n\n{{}}{_HIDDEN}",
    "CL in hexadecimal": f"{_POST}Content-Length: 0x2\n\n{{}}{_HIDDEN}",
    "CL in full-width digits": f"{_POST}Content-Length: \uff12\n\n{{}}{_HIDDEN}",
    "CL with an underscore": f"{_POST}Content-Length: 0_2\n\n{{}}{_HIDDEN}",
    "CL overflowing": f"{_POST}Content-Length: 18446744073709551618\n\n{{}}{_HIDDEN}",
    "CL and a space": f"{_POST}Content-Length : 2\n\n{{}}{_HIDDEN}",
    "no CL at all": f"{_POST}\n{_HIDDEN}",
    "CL on GET": f"GET /health HTTP/1.1\nHost: <host>\nContent-Length: 5\n\nhello{_HIDDEN}",
    "chunk size signed": f"{_POST}Transfer-Encoding: chunked\n\n+2\n{{}}\n0\n\n{_HIDDEN}",
    "chunk size 0x": f"{_POST}Transfer-Encoding: chunked\n\n0x2\n{{}}\n0\n\n{_HIDDEN}",
    "chunk size overflowing": f"{_POST}Transfer-Encoding: chunked\n\n10000000000000002\n{{}}\n0\n\n{_HIDDEN}",
    "chunk size blank": f"{_POST}Transfer-Encoding: chunked\n\n\n{{}}\n0\n\n{_HIDDEN}",
    "chunk too short": f"{_POST}Transfer-Encoding: chunked\n\n1\n{{}}\n0\n\n{_HIDDEN}",
    "chunk without its end": f"{_POST}Transfer-Encoding: chunked\n\n2\n{{}}0\n\n{_HIDDEN}",
    "chunk extension with a newline": f'{_POST}Transfer-Encoding: chunked\n\n2;a="\n"\n{{}}\n0\n\n{_HIDDEN}',
    "chunk extension, long": f"{_POST}Transfer-Encoding: chunked\n\n2;{'x' * 70_000}\n{{}}\n0\n\n",
    "trailers that say CL": f"{_POST}Transfer-Encoding: chunked\n\n2\n{{}}\n0\nContent-Length: 90\n\n{_HIDDEN}",
    "trailers that say a key": f"{_POST}Transfer-Encoding: chunked\n\n2\n{{}}\n0\nAuthorization: Bearer x\n\n{_HIDDEN}",
    "upgrade to h2c": f"GET /health HTTP/1.1\nHost: <host>\nUpgrade: h2c\nConnection: Upgrade\n\n{_HIDDEN}",
    "upgrade to websocket": (
        "GET /health HTTP/1.1\nHost: <host>\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\n"
        f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\n\n{_HIDDEN}"
    ),
    "HTTP/2 preface": f"PRI * HTTP/2.0\n\nSM\n\n{_HIDDEN}",
    "HTTP/0.9": f"GET {V2}/runs/get?run_id=<b.run>\n\n",
    "HTTP/1.2": _HIDDEN.replace("HTTP/1.1", "HTTP/1.2"),
    "no Host": f"GET {V2}/runs/get?run_id=<b.run> HTTP/1.1\n<auth>\n\n",
    "two Hosts": f"GET {V2}/runs/get?run_id=<b.run> HTTP/1.1\nHost: a\nHost: <host>\n<auth>\n\n",
    "a space in the target": f"GET {V2}/runs/get?run_id=<b.run> x HTTP/1.1\nHost: <host>\n<auth>\n\n",
    "a newline in the target": (
        f"GET {V2}/runs/get?run_id=<a.run>\rX-MLFLOW-WORKSPACE:<b.workspace> HTTP/1.1\n<auth>\n\n"
    ),
    "a tab for a space": f"GET\t{V2}/runs/get?run_id=<b.run>\tHTTP/1.1\nHost: <host>\n<auth>\n\n",
    "a leading newline": f"\n\n{_HIDDEN_KEYED}",
    "asterisk": "GET * HTTP/1.1\nHost: <host>\n<auth>\n\n",
    "authority": "CONNECT <listener> HTTP/1.1\nHost: <listener>\n<auth>\n\n",
    "a proxy's request": "GET http://<listener>/ HTTP/1.1\nHost: <listener>\n<auth>\n\n",
    "headers of 100 KB": f"GET /health HTTP/1.1\nHost: <host>\n{'X-A: ' + 'a' * 100_000}\n\n{_HIDDEN}",
    "a thousand headers": "GET /health HTTP/1.1\nHost: <host>\n" + "X-A: a\n" * 12_000 + "\n",
    "a target of 100 KB": f"GET /{'a' * 100_000} HTTP/1.1\nHost: <host>\n\n",
    "expect": f"{_POST}Expect: 100-continue\nContent-Length: {len(_BODY)}\n\n{_BODY}",
    "expect something else": f"{_POST}Expect: 200-ok\nContent-Length: {len(_BODY)}\n\n{_BODY}",
    "a body for the other's artifact": (
        f"PUT {FILES}/<b.file> HTTP/1.1\nHost: <host>\n<auth>\nContent-Length: 7\nTransfer-Encoding: chunked\n\n"
        "7\nplanted\n0\n\n"
    ),
    "pipelined": f"{_TAG}Content-Length: 0\n\n{_HIDDEN}{_HIDDEN_KEYED}{_HIDDEN}",
}


def cases() -> Iterator[Case]:
    control = owned(READS["run"], shows="marker")
    for name, text in REQUESTS.items():
        step = raw(text)
        after = get(f"{V2}/runs/get?run_id=<a.run>", needed=True)
        yield Case(f"framing: {name}", 14, (step, after), control=control, allows=frozenset({501, 505}))
    yield Case("framing: a refused body, then the next request", 14, play=_reused_after_refusal)
    yield Case("framing: a key is of one request alone", 14, play=_key_of_one_request)
    yield Case("framing: two tenants over the same pool", 14, play=_one_pool)
    yield Case("framing: headers, a byte at a time", 14, play=_slow_headers)
    yield from _claims()


def _reused_after_refusal(scene: Scene) -> None:
    """What a refused request had as its body is not read as a request."""
    body = scene.fill(_HIDDEN_KEYED.replace("\n", "\r\n"))
    body = body.replace("<auth>", "\r\n".join(f"{name}: {value}" for name, value in scene.credentials("a.write")))
    with scene.fresh(seconds=3) as wire:
        head = f"GET {V2}/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        wire.send((head + body).encode() + LAST)
        scene.answers += (found := wire.answers(3))
    refused, *others = [one for one in found if one.status]
    assert refused.status >= 400, f"it was accepted: {refused.status}"
    healthy = scene.wire("health").request("GET", "/health").body
    bodies = [one.body for one in others]
    assert bodies in ([], [healthy]), f"the body of a refused request was read as another: {bodies!r:.300}"


def _key_of_one_request(scene: Scene) -> None:
    with scene.fresh() as wire:
        target = f"{V2}/runs/get?run_id={scene.a.words['run']}"
        assert wire.request("GET", target, scene.credentials("a.write")).status == 200
        scene.answers.append(wire.request("GET", target))
        assert scene.answers[-1].status == 401, f"without a key: {scene.answers[-1].status}"


def _one_pool(scene: Scene) -> None:
    """Each gets its own, however their requests share the connections to what is behind."""
    owner = scene.owner()
    for _ in range(20):
        for letter, planted in (("a", scene.a), ("c", owner)):
            step = get(f"{V2}/runs/get?run_id=<{letter}.run>")
            answer = scene.do(step, f"{letter}.write")
            assert planted.marker.encode() in answer.body, "an answer went to another"
        foreign = scene.do(get(f"{V2}/runs/get?run_id=<c.run>"), "a.write")
        assert owner.marker.encode() not in foreign.body, "the neighbour's run was shown"


def _slow_headers(scene: Scene) -> None:
    """Slow senders hold nobody up."""
    slow = [scene.fresh(seconds=1) for _ in range(40)]
    wires = [one.__enter__() for one in slow]
    try:
        for wire in wires:
            wire.send(b"GET /health HTTP/1.1\r\nX-A: ")
        start = time.monotonic()
        answer = scene.do(get(f"{V2}/runs/get?run_id=<a.run>"), "a.write")
        assert answer.status == 200, answer.status
        assert time.monotonic() - start < 10, "a slow sender holds up the others"
    finally:
        for wire in wires:
            wire.close()


_ADDRESSES = (
    (("X-Forwarded-For", "10.9.9.9"),),
    (("X-Forwarded-For", "10.9.9.9, 127.0.0.1"),),
    (("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-For", "10.9.9.9")),
    (("Forwarded", "for=10.9.9.9"),),
    (("Forwarded", 'for="10.9.9.9";proto=https;by=127.0.0.1'),),
    (("X-Real-IP", "10.9.9.9"),),
    (("X-Client-IP", "10.9.9.9"),),
    (("True-Client-IP", "10.9.9.9"),),
    (("CF-Connecting-IP", "10.9.9.9"),),
    (("X-Cluster-Client-IP", "10.9.9.9"),),
    (("X-Originating-IP", "10.9.9.9"),),
    (("Via", "1.1 10.9.9.9"),),
    (("X-Hokusai-Address", "10.9.9.9"),),
    (("X-Forwarded-For", "10.9.9.9"), ("Connection", "X-Forwarded-For")),
    (("X-Forwarded-Host", "10.9.9.9"), ("X-Forwarded-For", "::ffff:10.9.9.9")),
)
_CLAIMS = (
    (("X-Hokusai-Workspace", "<b.workspace>"),),
    (("X-Hokusai-Principal", "operator"), ("X-Hokusai-Permissions", "operator")),
    (("X-Hokusai-User", "operator"),),
    (("X-Remote-User", "operator"), ("Remote-User", "operator")),
    (("X-Forwarded-User", "operator"), ("X-Forwarded-Email", "operator@x")),
    (("X-Authenticated-User", "operator"),),
    (("X-MLFLOW-USER", "operator"),),
    (("Cookie", "session=operator; mlflow_user=operator"),),
    (("X-Original-URL", "/metrics"), ("X-Rewrite-URL", "/metrics")),
    (("X-Original-URL", f"{V2}/runs/get?run_id=<b.run>"),),
    (("X-Forwarded-Prefix", "/x"), ("X-Script-Name", "/x"), ("SCRIPT_NAME", "/x")),
    (("X-Forwarded-Host", "<listener>"), ("X-Forwarded-Proto", "https")),
    (("Host", "<listener>"),),
    (("Host", "<b.workspace>.example.com"),),
    (("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site")),
    (("Connection", "Authorization, X-API-Key"),),
    (("TE", "trailers"), ("Connection", "TE, close")),
    (("Proxy-Authorization", "Bearer x"),),
    (("X-Request-Id", "evil\\r\\nX: y"),),
    (("traceparent", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"),),
    (("Accept", "text/html"),),
    (("Accept-Encoding", "gzip, br, zstd"),),
)


def _claims() -> Iterator[Case]:
    for headers in _ADDRESSES:
        name = ", ".join(f"{key}: {value}" for key, value in headers)
        yield Case(f"address by {name}", 15, play=_from_elsewhere(headers), only="hokusai")
    for headers in _CLAIMS:
        name = ", ".join(f"{key}: {value[:40]}" for key, value in headers)
        step = replace(READS["run"], headers=headers)
        control = owned(READS["run"], shows="marker")
        yield Case(f"claim {name}", 15, (step,), refused=0, control=control)
        if headers[0][0] != "Host":
            operator = replace(get("/api/v1/workspaces"), headers=headers)
            yield Case(f"operator by {name}", 15, (operator,), refused=0, control=_OPERATOR)
            anonymous: tuple[Step, ...] = (replace(step, by="nobody"),)
            yield Case(f"nobody with {name}", 15, anonymous, refused=0, control=control)


_OPERATOR = owned(get("/api/v1/workspaces"), shows="success", by="operator")


def _from_elsewhere(headers: tuple[tuple[str, str], ...]) -> Callable[[Scene], None]:
    """A key for one network is not good from another, whatever the request says about its sender."""

    def play(scene: Scene) -> None:
        key = scene.new_key("a", allow_ips=["10.9.9.9/32"])
        for more in ((), headers):
            filled = [(name, scene.fill(value)) for name, value in more]
            step = Step("GET", f"{V2}/runs/get?run_id=<a.run>", headers=(*filled, ("Authorization", f"Bearer {key}")))
            answer = scene.do(step, "nobody")
            assert answer.status == 403, f"{more}: {answer.status}"

    return play
