"""No request, at its largest and worst, keeps the event loop for long: everybody else would wait."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import uvicorn

from hokusai.app import Application
from hokusai.gateway import ROUTES, Body, Route
from hokusai.gateway.field import Field
from hokusai.http import Protocol
from hokusai.settings import load
from tests.attacks.wire import Wire
from tests.loop_time import LoopTime, measured

#: Loads MLflow, and listens on a port.
pytestmark = pytest.mark.process

#: Seconds of processor time.
MOST = 0.020

JSON_BYTES = 4 * 2**20
LONG = "x" * 3_900_000
FILES = "/api/2.0/mlflow-artifacts/artifacts"


@dataclass
class Served:
    """The whole application, in this process, on asyncio's own event loop."""

    address: tuple[str, int]
    operator: str
    write: str
    loop: LoopTime

    def worst(self, requests: Mapping[str, bytes]) -> dict[str, str]:
        """The requests that kept the loop for too long. A first time counts only if a second is as bad."""
        found = {}
        for name, data in requests.items():
            for _ in range(3):
                self.loop.reset()
                self._sent(data)
                if self.loop.most < MOST:
                    break
            else:
                found[name] = f"{self.loop.most * 1000:.0f} ms: {self.loop.what}"
        return found

    def _sent(self, data: bytes) -> None:
        with Wire(self.address, source="127.0.0.1", seconds=60) as wire:
            wire.send(data)
            wire.finish()
            answers = wire.answers(2)
        assert answers, data[:200]
        assert all(answer.status < 500 or answer.status == 501 for answer in answers), (data[:200], answers)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    place: Path = tmp_path_factory.mktemp("loop") / "data"
    place.mkdir()
    rates = dict.fromkeys(("address_rate", "key_rate", "workspace_rate", "guess_rate"), "1000000/second")
    settings = load(data=place, trusted_proxies="127.0.0.0/8", **rates)
    ready, stop = threading.Event(), threading.Event()

    async def serve(listener: socket.socket) -> None:
        application = Application(settings)
        await application.start()
        http: Any = Protocol
        config = uvicorn.Config(application, http=http, ws="none", lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve([listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        ready.set()
        await asyncio.to_thread(stop.wait)
        server.should_exit = True
        await running
        await application.close()

    from hokusai.server.migration import prepare

    asyncio.run(prepare(settings))
    operator = (place / "operator.key").read_text().strip()
    with socket.create_server(("127.0.0.1", 0)) as listener, measured() as loop:
        thread = threading.Thread(target=lambda: asyncio.run(serve(listener)))
        thread.start()
        try:
            assert ready.wait(120)
            address = listener.getsockname()[:2]
            yield Served(address, operator, _tenant(address, operator), loop)
        finally:
            stop.set()
            thread.join()


def _tenant(address: tuple[str, int], operator: str) -> str:
    with Wire(address, source="127.0.0.1", seconds=60) as wire:
        headers = [("Authorization", f"Bearer {operator}"), ("Content-Type", "application/json")]
        assert wire.request("POST", "/api/v1/workspaces", headers, b'{"name": "team"}').status < 300
        body = b'{"name": "team", "workspace": "team", "permissions": ["admin"]}'
        return str(wire.request("POST", "/api/v1/keys", headers, body).json()["key"])


def request(method: str, target: str, key: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: x", *([f"Authorization: Bearer {key}"] if key else []), *headers]
    if body or method in {"POST", "PUT", "PATCH"}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body


def filled(route: Route, value: str = "1") -> str:
    path = route.path.replace("{path:path}", value)
    for name in ("model_id", "tag_key", "key_id", "workspace"):
        path = path.replace(f"{{{name}}}", value)
    return path


def key_for(route: Route, served: Served) -> str:
    return served.operator if route.to in {"auth", "home"} else served.write


def largest(field: Field, *, many: int = 1000) -> Any:
    """What the field may just hold."""
    text = "x" * min(field.max_length or 50_000, 50_000)
    one: Any = text
    if field.parts:
        one = {part.name: largest(part, many=3) for part in field.parts}
    elif field.kind.one.startswith("a whole"):
        one = "9" * 18
    elif field.kind.one == "a number":
        one = "1." + "3" * 15_000
    elif field.kind.one.startswith("true"):
        one = True
    return [one] * many if field.many else one


def fitting(field: Field) -> bytes:
    """A body with as much of ``largest`` as a body may have."""
    many = 1000
    while len(body := json.dumps({field.name: largest(field, many=many)}).encode()) > JSON_BYTES and many > 1:
        many //= 2
    return body


def json_bodies() -> dict[str, bytes]:
    """Bodies that are large in every way that JSON offers."""
    size = 4_000_000
    return {
        "numbers": b'{"a":[' + b"1," * (size // 2) + b"1]}",
        "objects": b'{"a":[' + b"{}," * (size // 3) + b"1]}",
        "lists": b'{"a":[' + b"[]," * (size // 3) + b"1]}",
        "just enough lists": b'{"a":[' + b"[]," * 120_000 + b"1]}",
        "just enough objects": b'{"a":[' + b"{}," * 120_000 + b"1]}",
        "members": b"{" + b",".join(b'"%d":1' % number for number in range(size // 12)) + b"}",
        "a name many times": b"{" + b'"a":1,' * (size // 6) + b'"a":1}',
        "names twice": b"{" + b",".join(b'"%d":1' % (number // 2) for number in range(4000)) + b"}",
        "a long name": b'{"' + b"x" * size + b'": 1}',
        "a long number": b'{"a":' + b"1" * size + b"}",
        "a long fraction": b'{"a":1.' + b"1" * size + b"}",
        "a long text": b'{"a":"' + b"x" * size + b'"}',
        "a text of escapes": b'{"a":"' + b"\\n" * (size // 2) + b'"}',
        "a text of surrogates": b'{"a":"' + b"\\ud800" * (size // 6) + b'"}',
        "a text of wide characters": b'{"a":"' + "\U0001f600".encode() * (size // 4) + b'"}',
        "deep": b'{"a":' + b"[" * size,
        "deep and whole": b'{"a":' + b"[" * 60_000 + b"]" * 60_000 + b"}",
        "just deep enough": b'{"a":[' + b",".join([b"[" * 60 + b"]" * 60] * 3000) + b"]}",
        "15 KB of lists": b'{"a":[' + b"[]," * 5000 + b"1]}",
        "15 KB of objects": b'{"a":[' + b"{}," * 5000 + b"1]}",
        "15 KB, just deep enough": b'{"a":[' + b",".join([b"[" * 60 + b"]" * 60] * 130) + b"]}",
        "spaces": b" " * size,
        "not UTF-8": b'"' + b"\xff" * size,
    }


@pytest.mark.timeout(600)
def test_fields_at_their_largest(served: Served) -> None:
    requests: dict[str, bytes] = {}
    seen: set[Field] = set()
    for route in ROUTES:
        for field in route.fields or ():
            if field in seen:
                continue
            seen.add(field)
            name = f"{route}: {field.name}"
            if route.body is Body.JSON:
                head = (route.method, filled(route), key_for(route, served))
                requests[name + " at its largest"] = request(*head, fitting(field))
                value: Any = {part.name: LONG[:1_000_000] for part in field.parts[:3]} if field.parts else LONG
                requests[name + " too long"] = request(
                    *head, json.dumps({field.name: [value] if field.many else value}).encode()
                )
            elif route.body is Body.NONE:
                for way, text in (("%25", "%25" * 8_000), ("&", f"x&{field.name}=" * 2000), ("x", "x" * 15_000)):
                    target = f"{filled(route)}?{field.name}={text}"[:31_000]
                    requests[f"{name} {way}"] = request(route.method, target, key_for(route, served))
    assert not served.worst(requests)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("target", ["/api/2.0/mlflow/experiments/create", "/api/v1/keys"])
def test_bodies_of_every_shape(served: Served, target: str) -> None:
    key = served.operator if "keys" in target else served.write
    requests = {name: request("POST", target, key, body) for name, body in json_bodies().items()}
    assert not served.worst(requests)


@pytest.mark.timeout(600)
def test_paths_and_queries_of_every_route(served: Served) -> None:
    requests: dict[str, bytes] = {}
    for route in ROUTES:
        key = key_for(route, served)
        texts = {"%": "%25" * 2_700, "nested %": "%2525252525" * 700, "x": "x" * 8_000, "/": "a/" * 4_000}
        for name, text in texts.items():
            if "{" in route.path:
                target = filled(route, text)[:8_000]
                requests[f"{route} {name}"] = request(route.method, target, key)
                requests[f"{route} {name}, no key"] = request(route.method, target, "")
            else:
                requests[f"{route} query {name}"] = request(route.method, f"{route.path}?a={text}", key)
        requests[f"{route} &"] = request(route.method, f"{filled(route)}?" + "&" * 30_000, key)
    requests["nowhere"] = request("GET", "/" + "%25" * 2_700, "")
    requests["nowhere, with a key"] = request("GET", "/" + "%25" * 2_700, served.write)
    assert not served.worst(requests)


HEADERS = {
    "commas": "," * 30_000,
    "addresses": "1.2.3.4," * 3_700,
    "spaces": "a" + " " * 29_000 + "b",
    "tags": '"a",' * 7_000,
    "weak tags": 'W/"a",' * 5_000,
    "ranges": "bytes=" + "0-1," * 7_000,
    "digests": ("sha-256=:" + "A" * 43 + "=:,") * 500,
    "a digest": "sha-256=:" + "A" * 29_000,
    "keys": "hk_live_" * 3_600,
    "Bearer": "Bearer " + "x" * 29_000,
    "Basic": "Basic " + "QUFB" * 7_000,
    "digits": "9" * 30_000,
}
NAMES = (
    *("Authorization", "X-API-Key", "X-Forwarded-For", "Forwarded", "Range", "If-Range", "If-Match", "If-None-Match"),
    *("Content-Digest", "Repr-Digest", "Content-Range", "Hokusai-Upload", "Accept", "Expect", "Content-Type"),
    *("Content-Encoding", "Connection", "Upgrade", "Cookie"),
)


@pytest.mark.timeout(600)
def test_headers_at_their_largest(served: Served) -> None:
    requests: dict[str, bytes] = {}
    for name in NAMES:
        for kind, value in HEADERS.items():
            key = "" if name in {"Authorization", "X-API-Key"} else served.write
            for method in ("GET", "PUT"):
                requests[f"{method} {name}: {kind}"] = request(method, f"{FILES}/x", key, b"", f"{name}: {value}")
    requests["as many as there may be"] = request("GET", f"{FILES}/x", served.write, b"", *["X: " + "y" * 300] * 95)
    assert not served.worst(requests)


def test_bytes_in_small_pieces(served: Served) -> None:
    put = f"PUT {FILES}/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.write}\r\n"
    chunked = f"{put}Transfer-Encoding: chunked\r\n\r\n".encode()
    health = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    requests = {
        "one-byte chunks": chunked + b"1\r\nx\r\n" * 200_000 + b"0\r\n\r\n",
        "one-byte chunks, without a key": chunked.replace(b"Bearer", b"Bear") + b"1\r\nx\r\n" * 200_000 + b"0\r\n\r\n",
        "blank lines": chunked + b"4000\r\n" + b"\r\n\r\n" * 4096 + b"\r\n0\r\n\r\n",
        "requests": health * 5_000,
        "blank lines before a request": b"\r\n" * 16_000 + health,
        "trailers": chunked + b"0\r\n" + b"X: y\r\n" * 5_000 + b"\r\n",
    }
    assert not served.worst(requests)


def test_metrics_and_the_description_of_the_api(served: Served) -> None:
    assert not served.worst(
        {
            "metrics": request("GET", "/metrics", served.operator),
            "description": request("GET", "/api/v1/openapi.json", ""),
            "home": request("GET", "/", ""),
            "ready": request("GET", "/ready", ""),
            "keys": request("GET", "/api/v1/keys?limit=1000", served.operator),
        }
    )


def test_what_is_quoted_is_short(served: Served) -> None:
    """A long value in an error's text would be formatted, masked and sent."""
    with Wire(served.address, source="127.0.0.1", seconds=60) as wire:
        for target in (f"/nothing/{quote('%' * 2000)}", "/api/v1/keys/" + "x" * 7000):
            answer = wire.request("GET", target, [("Authorization", f"Bearer {served.operator}")], b"")
            assert len(answer.body) < 2_000
