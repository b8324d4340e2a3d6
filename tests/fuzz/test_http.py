"""Bytes that are almost HTTP, on raw sockets, against a running server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from tests.fuzz.bounds import bounds
from tests.fuzz.wire import Answer, Said, answers, talk
from tests.serving import Server, Team, serving

FILES = "/api/2.0/mlflow-artifacts/artifacts"
MLFLOW = "/api/2.0/mlflow"
#: Planted in the other tenant's things: in no answer, whatever is sent.
MARKER = "vermilion-heron"
#: Hidden in bodies: its answer is the bare version number, which nothing else here asks for.
HIDDEN = b"GET /api/mlflow/version HTTP/1.1\r\nHost: x\r\n\r\n"
VERSION = re.compile(rb"\d+\.\d+\.\d+")
#: Codes of what is refused before there is a request.
REFUSED = {"HK1010", "HK1011", "HK1012", "HK1090"}
#: Comes after everything else, so that nothing is waited for where the server has understood.
LAST = b"GET /health HTTP/1.1\r\nHost: last\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Lab:
    """A server with an attacker and a victim, each with a key."""

    server: Server
    attacker: Team
    victim: Team

    @property
    def port(self) -> int:
        return int(self.server.url.rpartition(":")[2])

    def is_well(self) -> None:
        """It answers a new connection, and nothing has gone wrong inside."""
        (answer,) = answers(talk(self.port, [LAST], quiet=30))
        assert (answer.status, answer.body) == (200, b'{"status": "alive"}')
        assert self.server.process.poll() is None
        bad = [line for line in self.server.errors if "Traceback" in line or " ERROR " in line or " CRITICAL " in line]
        assert not bad, "".join(self.server.errors[-60:])


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    rates = {"HOKUSAI_ADDRESS_RATE": "1000000000/second", "HOKUSAI_KEY_RATE": "1000000000/second"}
    with serving(tmp_path_factory.mktemp("http") / "data", settings=rates) as server:
        attacker, victim = server.workspace("attacker"), server.workspace("victim")
        with server.http(victim.key) as http:
            assert http.put(f"{FILES}/secret.txt", content=MARKER.encode()).is_success
            for path in ("registered-models/create", "experiments/create"):
                assert http.post(f"{MLFLOW}/{path}", json={"name": MARKER}).is_success
        with server.http(attacker.key) as http:
            assert http.put(f"{FILES}/own.txt", content=b"own").is_success
            assert http.get("/api/v1/openapi.json").is_success  # it is put together once, which takes a moment
        yield Lab(server, attacker, victim)
        assert server.stop() == 0


# A grammar of requests, right and almost right

#: Targets that answer quickly and differently: routes with and without a key, files, a search, what does not exist.
TARGETS = [
    *("/health", "/version", "/ready", "/metrics", "/nothing", "/api/v1/keys/self", "/api/v1/openapi.json"),
    f"{FILES}/own.txt",
    f"{FILES}/workspaces/victim/secret.txt",
    f"{FILES}?path=",
    f"{MLFLOW}/registered-models/search?max_results=5",
    f"{MLFLOW}/experiments/get-by-name?experiment_name=x",
    f"{MLFLOW}/runs/create",
    f"{MLFLOW}/registered-models/create",
]
#: Those that answer the same twice.
STEADY = ["/health", "/metrics", "/nothing", "/api/v1/workspaces", f"{FILES}/own.txt", f"{MLFLOW}/runs/search"]
ODD_TARGETS = [
    *(
        "*",
        "",
        "?",
        "//",
        "/%",
        "/%zz",
        "/%00",
        "/%2e%2e/health",
        "/health%20",
        "/health?%ff",
        "/health#",
        "/health#x?y",
    ),
    *("/health/../metrics", "/./health", "//health", "/HEALTH", "/health;x=y", "/health\\", "/\x7f", "/\x80", "/é"),
    *("http://x/health", "http://x:99999/health", "http://user:pw@x/health", "HTTP://X/health", "ftp://x/", "http:///"),
    *("http://[::1]/health", "x:443", "victim:80", "127.0.0.1:1", "/" + "a" * 9000, "/health?" + "a=b&" * 3000),
    *("/a b", "/a\tb", "/a\x00b", "/health HTTP/1.1\r\nX: y", "/health\r\n", "ws://x/health", "/health?a\x01"),
]
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PRI", "PROPFIND", "QUERY"]
ODD_METHODS = [
    "get",
    "GETT",
    "G\x00T",
    "",
    "GET GET",
    "M-SEARCH",
    "SOURCE",
    "\x80",
    "GET\t",
    "(",
    "A" * 9000,
    "\r\nGET",
]
VERSIONS = ["HTTP/1.1", "HTTP/1.0"]
ODD_VERSIONS = [
    *("", "HTTP/0.9", "HTTP/2.0", "HTTP/1.2", "HTTP/3", "HTTP/1.10", "http/1.1", "HTTP/1.1 ", " HTTP/1.1", "HTTP/1,1"),
    *("ICE/1.0", "RTSP/1.0", "HTTP/1.1\x00", "HTTP/9.9", "HTTP/01.1"),
]
NAMES = [
    *("Accept", "X-API-Key", "X-Forwarded-For", "Forwarded", "X-MLFLOW-WORKSPACE", "X-HTTP-Method-Override", "Range"),
    *("Cookie", "If-None-Match", "Content-Type", "Content-Encoding", "Repr-Digest", "Content-Range", "Trailer", "TE"),
    *("Connection", "Upgrade", "HTTP2-Settings", "Expect", "Keep-Alive", "Proxy-Connection", "Via", "Host", "Origin"),
    *(
        "X-Original-URL",
        "X-Rewrite-URL",
        "Content_Length",
        "Transfer_Encoding",
        "User-Agent",
        "Referer",
        "Max-Forwards",
    ),
]
VALUES = [
    *("", "x", "victim", "close", "keep-alive", "Upgrade", "h2c", "websocket", "100-continue", "200-ok", "bytes=0-1"),
    *("bytes=0-0,2-2", "bytes=-99999999999999999999", "*", "chunked", "identity", "gzip", "trailers", "DELETE", "PUT"),
    *("127.0.0.1", "for=127.0.0.1", "::1%eth0", "sha-256=:x:", '"', "a" * 9000, "\t", "é", "\x80\xff", "0", "-1"),
    *(
        "close, keep-alive",
        "Upgrade, HTTP2-Settings",
        "AAMAAABkAARAAAAA",
        "content-length",
        "application/json",
        "/health",
    ),
]
ODD_LINES = [
    *(
        "X: y\n",
        "X: y\r",
        "\n",
        "\r",
        " folded",
        "\tfolded",
        "X : y",
        ": y",
        "X",
        "X:",
        "X\x00: y",
        "X: \x00",
        "X: a\rb",
    ),
    *("X: a\nGET /api/mlflow/version HTTP/1.1", "(X): y", "X\x80: y", "é: y", "X: \x7f", "X: \x1b[2J", "\x0bX: y"),
    *("Host: a, b", "Host:", "Host: a b", "Host: a\r\nHost: b", "Transfer-Encoding : chunked", "Content-Length : 3"),
    *("Transfer-Encoding:\x0bchunked", "Content-Length\x00: 3", " Content-Length: 3", "X: y\r\n Content-Length: 3"),
]
ODD_FRAMES = [
    *(["Content-Length: {size}", "Content-Length: {size}"], ["Content-Length: {size}", "Content-Length: 0"]),
    *(["Content-Length: 0", "Content-Length: {size}"], ["Content-Length: {size}, {size}"], ["Content-Length: +{size}"]),
    *(["Content-Length: -1"], ["Content-Length: 0x{size}"], ["Content-Length: {size}.0"], ["Content-Length: 1e1"]),
    *(["Content-Length: {size} 0"], ["Content-Length: 00000000000000000000000{size}"], ["Content-Length: "]),
    *(
        ["Content-Length: 18446744073709551617"],
        ["Content-Length: 99999999999999999999999"],
        ["Content-Length: {size}\t"],
    ),
    *(["Content-Length: {size}", "Transfer-Encoding: chunked"], ["Transfer-Encoding: chunked", "Content-Length: 0"]),
    *(["Transfer-Encoding: identity"], ["Transfer-Encoding: chunked, identity"], ["Transfer-Encoding: xchunked"]),
    *(["Transfer-Encoding: gzip, chunked"], ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"]),
    *(["Transfer-Encoding: identity", "Transfer-Encoding: chunked"], ["Transfer-Encoding: chunked, chunked"]),
    *(["Transfer-Encoding: \x0bchunked"], ["Transfer-Encoding: chunked\x00"], ['Transfer-Encoding: "chunked"']),
    *(["Transfer-Encoding:\r\n chunked"], ["Transfer-Encoding : chunked"], ["Transfer-Encoding: chunked;x=y"]),
    *(["Transfer-Encoding: ,chunked"], ["Transfer-Encoding: chunked,"], ["Transfer-Encoding: CHUNKED"]),
    *(["Transfer-Encoding: "], ["Content-Length: {size}", "Transfer-Encoding: "], ["Transfer_Encoding: chunked"]),
]
FRAMES = [["Content-Length: {size}"], ["Transfer-Encoding: chunked"]]
#: Frames that say nothing about the body's end, to any reader: what follows the headers is the next request.
UNFRAMED = [["Transfer_Encoding: chunked"]]
NOISE = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\x00",
    b" ",
    b":",
    b"\t",
    b"\r\n\r\n",
    b"\xff",
    b"0",
    b"Host: x\r\n",
    b"%",
    b"#",
    b"\r\n ",
]


@dataclass(frozen=True, repr=False)
class Request:
    """One request. ``hides`` says that the answer to what its body holds must not be seen."""

    method: str
    target: str
    version: str = "HTTP/1.1"
    lines: list[str] = field(default_factory=list)
    body: bytes = b""
    hides: bool = True

    def __repr__(self) -> str:
        raw = bytes(self)
        return repr(raw) if len(raw) < 20_000 else f"{raw[:500]!r} and {len(raw) - 500} bytes more"

    def __bytes__(self) -> bytes:
        first = " ".join(part for part in (self.method, self.target, self.version) if part)
        return "\r\n".join([first, *self.lines, "", ""]).encode("utf-8") + self.body


def chunked(body: bytes, sizes: list[int], extension: str = "", trailers: str = "") -> bytes:
    parts = []
    for size in [*sizes, len(body)]:
        piece, body = body[:size], body[size:]
        if piece:
            parts.append(b"%x%s\r\n%s\r\n" % (len(piece), extension.encode(), piece))
    return b"".join(parts) + b"0\r\n" + trailers.encode() + b"\r\n"


BODIES = st.sampled_from([b"", b"{}", b'{"name": "x"}', b"{", b"[]", HIDDEN, b"{}" + HIDDEN, b"\r\n" + HIDDEN])
#: Long enough to be taken in another way than short ones, or just not.
LARGE = st.sampled_from([size + more for size in (2**16, 2**18, 2**20) for more in (-1, 0, 1)]).map(
    lambda size: HIDDEN * (size // len(HIDDEN)) + b"x" * (size % len(HIDDEN))
)
SIZES = st.lists(st.integers(1, 20), max_size=4)
EXTENSIONS = st.sampled_from(["", ";x", ";x=y", ';x="y;z"', " ;x", ";x=" + "y" * 5000, ";\x00", ";x\n", ";\r"])
TRAILERS = st.sampled_from(
    [
        *("", "X: y\r\n", "Content-Length: 3\r\n", "Host: y\r\n", "X: y\n", "X\r\n", "Connection: close\r\n"),
        *("X-MLFLOW-WORKSPACE: victim\r\n", "Transfer-Encoding: chunked\r\n", " folded\r\n"),
    ]
)


@st.composite
def plain(draw: st.DrawFn, key: str, methods: tuple[str, ...] = ("GET", "POST", "PUT", "DELETE", "HEAD")) -> Request:
    """A request with nothing wrong in it."""
    method = draw(st.sampled_from(methods))
    lines = ["Host: x", *([f"Authorization: Bearer {key}"] if draw(st.booleans()) else [])]
    target = draw(st.sampled_from(TARGETS))
    body = draw(BODIES) if method in {"POST", "PUT"} else b""
    if draw(st.booleans()):
        lines.append("Expect: 100-continue")
    if not body:
        return Request(method, target, lines=lines)
    if draw(st.booleans()):
        return Request(method, target, lines=[*lines, f"Content-Length: {len(body)}"], body=body)
    return Request(method, target, lines=[*lines, "Transfer-Encoding: chunked"], body=chunked(body, draw(SIZES)))


@st.composite
def odd(draw: st.DrawFn, key: str) -> Request:
    """A request that has no reading, or that some reader takes in another way, for one or two reasons."""
    some = st.sampled_from
    wrong = draw(st.lists(some(["method", "target", "version", "lines", "frame", "chunks", "host"]), max_size=2))
    lines = [f"Authorization: Bearer {key}"] if draw(st.booleans()) else []
    if "host" not in wrong:
        lines.append("Host: x")
    if "lines" in wrong:
        lines += draw(st.lists(some(ODD_LINES), min_size=1, max_size=2))
    lines += draw(st.lists(st.tuples(some(NAMES), some(VALUES)).map(": ".join), max_size=2))
    body = draw(BODIES)
    frame = draw(some(ODD_FRAMES if "frame" in wrong else FRAMES))
    lines += [line.format(size=len(body)) for line in frame]
    if "ransfer" in frame[0] and draw(st.integers(0, 3)):
        odd_chunks = "chunks" in wrong
        body = chunked(body, draw(SIZES), draw(EXTENSIONS) if odd_chunks else "", draw(TRAILERS) if odd_chunks else "")
    return Request(
        draw(some(ODD_METHODS if "method" in wrong else METHODS)),
        draw(some(ODD_TARGETS if "target" in wrong else TARGETS)),
        draw(some(ODD_VERSIONS if "version" in wrong else VERSIONS)),
        draw(st.permutations(lines)),
        body,
        hides=frame not in UNFRAMED,
    )


def cut(raw: bytes, places: list[int]) -> list[bytes]:
    """``raw`` as it arrives in several writes."""
    ends = sorted({place % (len(raw) + 1) for place in places} | {0, len(raw)})
    return [raw[start:end] for start, end in pairwise(ends)]


PLACES = st.lists(st.integers(0, 10_000), max_size=4)


def checked(lab: Lab, said: Said, *, heads: list[int] | None = None) -> list[Answer]:
    """The answers, after looking at what must be so whatever was sent."""
    assert MARKER.encode() not in said.raw
    found = answers(said, heads=heads or [])
    for place, answer in enumerate(found):
        assert answer.status < 500, answer
        if answer.status >= 400 and answer.body and not answer.cut and answer.code in REFUSED:
            assert answer.headers["connection"] == "close"
            assert place == len(found) - 1, "an answer after the refusal"
            assert said.ended, "the connection goes on after a refusal"
    lab.is_well()
    return found


def final(found: list[Answer]) -> list[Answer]:
    return [answer for answer in found if answer.status >= 200]


def ends_early(found: list[Answer], sent: list[Request]) -> bool:
    """Whether the connection ended with the answer to one of the requests that were ``sent``.

    It may where the client asked whether to send the body: nothing tells whether one follows (RFC 9110, 10.1.1).
    """
    answered = final(found)
    closing = next((place for place, one in enumerate(answered) if one.headers.get("connection") == "close"), None)
    if closing is None or closing >= len(sent):
        return False
    assert "Expect: 100-continue" in sent[closing].lines, "a request was not answered"
    assert len(answered) == closing + 1, "an answer after the last one"
    return True


@bounds(150, long=700)
@given(data=st.data(), places=PLACES)
def test_each_fair_request_gets_one_answer_in_its_turn(lab: Lab, data: st.DataObject, places: list[int]) -> None:
    sent = data.draw(st.lists(plain(lab.attacker.key), min_size=1, max_size=4))
    heads = [place for place, request in enumerate(sent) if request.method == "HEAD"]
    said = talk(lab.port, cut(b"".join(map(bytes, sent)) + LAST, places), quiet=30)
    found = checked(lab, said, heads=heads)
    if not ends_early(found, sent):
        assert len(final(found)) == len(sent) + 1
        assert final(found)[-1].body == b'{"status": "alive"}'
    assert not any(answer.cut for answer in found)
    assert said.ended


@bounds(800, long=3_000)
@given(data=st.data(), places=PLACES)
def test_an_odd_request_is_read_one_way_or_refused(lab: Lab, data: st.DataObject, places: list[int]) -> None:
    before = data.draw(st.lists(plain(lab.attacker.key), max_size=2))
    strange = data.draw(odd(lab.attacker.key))
    heads = [place for place, request in enumerate(before) if request.method == "HEAD"]
    raw = b"".join(map(bytes, [*before, strange]))
    note(repr(raw))
    found = checked(lab, talk(lab.port, cut(raw + LAST, places)), heads=heads)
    assert ends_early(found, before) or len(final(found)) >= len(before)
    if strange.hides:
        assert len(final(found)) <= len(before) + 2
        assert not any(VERSION.fullmatch(answer.body) for answer in found)


@bounds(500, long=3_000)
@given(data=st.data(), places=PLACES)
def test_damaged_bytes_harm_nobody(lab: Lab, data: st.DataObject, places: list[int]) -> None:
    """Pieces are taken out, put in, doubled and moved."""
    sent = data.draw(st.lists(plain(lab.attacker.key, ("GET", "POST", "PUT")), min_size=1, max_size=3))
    raw = bytearray(b"".join(map(bytes, sent)))
    for _ in range(data.draw(st.integers(1, 4))):
        start, size = data.draw(st.integers(0, len(raw))), data.draw(st.integers(0, 12))
        put = data.draw(st.sampled_from(NOISE) | st.binary(max_size=4) | st.just(bytes(raw[start : start + size])))
        raw[start : start + data.draw(st.sampled_from([0, 0, size]))] = put
    note(repr(bytes(raw)))
    checked(lab, talk(lab.port, cut(bytes(raw) + LAST, places)))


@st.composite
def large(draw: st.DrawFn, key: str) -> Request:
    """A long body, to where it is taken and to where it is refused before it has come."""
    lines = [
        "Host: x",
        *draw(st.sampled_from([[], [f"X-API-Key: {key}"], [f"X-API-Key: {key}", "Expect: 100-continue"]])),
    ]
    body = draw(LARGE)
    length = [f"Content-Length: {len(body)}"] if draw(st.integers(0, 3)) else ["Transfer-Encoding: chunked"]
    body = body if length[0].startswith("C") else chunked(body, [100_000])
    target = draw(
        st.sampled_from([f"{FILES}/own.txt", f"{FILES}/own.txt", f"{MLFLOW}/runs/create", "/health", "/nothing"])
    )
    return Request(draw(st.sampled_from(["PUT", "POST"])), target, lines=[*lines, *length], body=body)


@bounds(60, long=700)
@given(data=st.data(), places=st.lists(st.integers(0, 2**21), max_size=4))
def test_a_long_body_ends_where_it_says(lab: Lab, data: st.DataObject, places: list[int]) -> None:
    sent = data.draw(
        st.lists(large(lab.attacker.key) | plain(lab.attacker.key, ("GET", "PUT")), min_size=1, max_size=4)
    )
    found = checked(lab, talk(lab.port, cut(b"".join(map(bytes, sent)) + LAST, places), quiet=30))
    if not ends_early(found, sent):
        assert len(final(found)) == len(sent) + 1
        assert final(found)[-1].body == b'{"status": "alive"}'
    assert not any(VERSION.fullmatch(answer.body) for answer in found)


@bounds(30, long=700)
@given(data=st.data(), places=st.lists(st.integers(0, 2**21), max_size=2))
def test_a_long_body_may_be_given_up(lab: Lab, data: st.DataObject, places: list[int]) -> None:
    raw = bytes(data.draw(large(lab.attacker.key)))
    talk(lab.port, cut(raw[: data.draw(st.integers(0, len(raw)))], places), hang_up=True)
    lab.is_well()


@bounds(150, long=700)
@given(data=st.data(), places=PLACES)
def test_a_client_that_hangs_up_harms_nobody(lab: Lab, data: st.DataObject, places: list[int]) -> None:
    raw = bytes(data.draw(plain(lab.attacker.key) | odd(lab.attacker.key)))
    talk(lab.port, cut(raw[: data.draw(st.integers(0, len(raw)))], places), hang_up=True)
    lab.is_well()


@bounds(100, long=700)
@given(data=st.data())
def test_a_trailer_is_no_header(lab: Lab, data: st.DataObject) -> None:
    """The answer is the same as without it (RFC 9110, 6.5.1)."""
    some = st.sampled_from
    strong = st.sampled_from([f"X-API-Key: {lab.victim.key}", f"Authorization: Bearer {lab.server.operator_key}"])
    lines = ["Host: x", "Transfer-Encoding: chunked", *data.draw(some([[], [f"X-API-Key: {lab.attacker.key}"]]))]
    trailers = data.draw(st.lists(st.tuples(some(NAMES), some(VALUES)).map(": ".join) | strong, min_size=1, max_size=3))
    method, target = data.draw(some(["GET", "POST", "PUT", "DELETE"])), data.draw(some(STEADY))
    without, with_them = (
        Request(method, target, lines=lines, body=chunked(b"{}", [1], trailers=text))
        for text in ("", "".join(line + "\r\n" for line in trailers))
    )
    expected = final(checked(lab, talk(lab.port, [bytes(without) + LAST], quiet=30)))[0]
    found = final(checked(lab, talk(lab.port, [bytes(with_them) + LAST], quiet=30)))[0]
    assert found.status in {expected.status, 400}
    if found.status == expected.status:
        assert without_id(found) == without_id(expected)


def without_id(answer: Answer) -> bytes:
    return answer.body.replace(answer.headers["x-request-id"].encode(), b"ID")
