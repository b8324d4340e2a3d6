"""Conditions, ranges and digests as raw bytes, well-formed and not, answered as RFC 9110 and RFC 9530 say."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

import pytest

from tests.artifacts.http.test_app import RUN
from tests.artifacts.service import Service
from tests.serving import Server

BODY = bytes(range(256)) * 4
SIZE = len(BODY)
SHA256 = hashlib.sha256(BODY)
TAG = f'"{SHA256.hexdigest()}"'
PROOF = f"sha-256=:{base64.b64encode(SHA256.digest()).decode()}:"
WRONG = f"sha-256=:{base64.b64encode(bytes(32)).decode()}:"
LATER = "Fri, 31 Dec 2100 23:59:59 GMT"


@dataclass(frozen=True)
class Raw:
    """An answer as it stands on the wire."""

    status: int
    headers: dict[str, str]
    body: bytes


def ask(service: Service, method: str, path: str, *lines: str, body: bytes = b"") -> Raw:
    head = service.head(method, path, connection="close").removesuffix(b"\r\n")
    if body or method == "PUT":
        head += f"content-length: {len(body)}\r\n".encode()
    with service.connected() as connection:
        connection.sendall(head + "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n" + body)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    top, _, rest = answer.partition(b"\r\n\r\n")
    first, *fields = top.decode("latin-1").split("\r\n")
    return Raw(int(first.split(" ")[1]), {k.lower(): v for k, _, v in (one.partition(": ") for one in fields)}, rest)


@pytest.fixture(scope="module")
def service(server: Server) -> Service:
    """The whole server, gateway and all."""
    team = server.workspace("rfc9110", permissions=["admin"])
    return Service(int(server.url.rpartition(":")[2]), headers={"authorization": f"Bearer {team.key}"})


@pytest.fixture(scope="module")
def path(service: Service) -> str:
    found = f"{RUN}/rfc/file"
    assert ask(service, "PUT", found, body=BODY).status == 200
    return found


#: Headers of a GET, the status, and which bytes come; None stands for an error's body.
READS: list[tuple[list[str], int, tuple[int, int] | None]] = [
    # 14.1.2: byte ranges
    (["Range: bytes=0-0"], 206, (0, 1)),
    (["Range: bytes=1023-"], 206, (1023, 1024)),
    (["Range: bytes=1000-99999"], 206, (1000, 1024)),
    (["Range: bytes=1000-99999999999999999999999999"], 200, (0, 1024)),
    (["Range: bytes=-1"], 206, (1023, 1024)),
    (["Range: bytes=-1024"], 206, (0, 1024)),
    (["Range: bytes=-99999"], 206, (0, 1024)),
    (["Range: BYTES=0-1"], 206, (0, 2)),  # a range unit is case-insensitive
    (["range:bytes=0-1"], 206, (0, 2)),
    (["Range: bytes=0-1\t"], 206, (0, 2)),
    (["Range: bytes=000000-000001"], 206, (0, 2)),
    (["Range: bytes=-0"], 416, None),
    (["Range: bytes=1024-"], 416, None),
    (["Range: bytes=1024-2000,-0"], 416, None),
    (["Range: bytes=9999999999999999999-"], 416, None),
    # 14.2: what is no range, or is more than it is worth, may be ignored
    (["Range: bytes=5-4"], 200, (0, 1024)),
    (["Range: bytes=-"], 200, (0, 1024)),
    (["Range: bytes="], 200, (0, 1024)),
    (["Range:"], 200, (0, 1024)),
    (["Range: bytes"], 200, (0, 1024)),
    (["Range: bytes=0x0-0x1"], 200, (0, 1024)),
    (["Range: bytes=+0-1"], 200, (0, 1024)),
    (["Range: bytes=0-1-2"], 200, (0, 1024)),
    (["Range: bytes=1 0-2"], 200, (0, 1024)),
    (["Range: bytes=\u00b2-\u00b3"], 200, (0, 1024)),
    (["Range: bytes=0-,0-"], 200, (0, 1024)),
    (["Range: bytes=" + "0-," * 17 + "0-"], 200, (0, 1024)),
    (["Range: bytes=" + ",".join(f"{n}-{n}" for n in range(17))], 200, (0, 1024)),
    (["Range: items=0-1"], 200, (0, 1024)),
    (["Range: bytes=0-1", "Range: bytes=4-5"], 200, (0, 1024)),
    # 13.1.5: If-Range compares strongly, and knows no date here
    ([f"If-Range: {TAG}", "Range: bytes=0-1"], 206, (0, 2)),
    ([f"If-Range: W/{TAG}", "Range: bytes=0-1"], 200, (0, 1024)),
    (['If-Range: "other"', "Range: bytes=0-1"], 200, (0, 1024)),
    ([f"If-Range: {LATER}", "Range: bytes=0-1"], 200, (0, 1024)),
    ([f'If-Range: {TAG}, "b"', "Range: bytes=0-1"], 200, (0, 1024)),
    (["If-Range: *", "Range: bytes=0-1"], 200, (0, 1024)),
    (['If-Range: "other"', "Range: bytes=4000-"], 200, (0, 1024)),
    ([f"If-Range: {TAG}", "Range: bytes=4000-"], 416, None),
    # 13.1.2: If-None-Match compares weakly; a match is 304, whatever range is asked for
    ([f"If-None-Match: {TAG}"], 304, (0, 0)),
    ([f"If-None-Match: W/{TAG}"], 304, (0, 0)),
    ([f'If-None-Match: "a" , {TAG},"b"'], 304, (0, 0)),
    (['If-None-Match: "a"', f"If-None-Match: {TAG}"], 304, (0, 0)),
    (["If-None-Match: *"], 304, (0, 0)),
    ([f"If-None-Match: {TAG}", "Range: bytes=0-1"], 304, (0, 0)),
    ([f"If-None-Match: {TAG}", "Range: bytes=4000-"], 304, (0, 0)),
    ([f"If-None-Match: w/{TAG}"], 200, (0, 1024)),
    ([f"If-None-Match: {TAG.strip(chr(34))}"], 200, (0, 1024)),
    ([f"If-None-Match: {TAG.upper()}"], 200, (0, 1024)),
    (["If-None-Match:"], 200, (0, 1024)),
    # 13.1.1: If-Match compares strongly, and goes first (13.2.2)
    ([f"If-Match: {TAG}"], 200, (0, 1024)),
    (["If-Match: *"], 200, (0, 1024)),
    ([f'If-Match: "a", {TAG}', "Range: bytes=0-1"], 206, (0, 2)),
    ([f"If-Match: W/{TAG}"], 412, None),
    (['If-Match: "other"'], 412, None),
    (['If-Match: "other"', f"If-None-Match: {TAG}"], 412, None),
    (['If-Match: "other"', "Range: bytes=4000-"], 412, None),
    ([f"If-Match: {TAG}", f"If-None-Match: {TAG}"], 304, (0, 0)),
    # 13.1.3, 13.1.4: there is no Last-Modified, so dates say nothing
    ([f"If-Modified-Since: {LATER}"], 200, (0, 1024)),
    (["If-Unmodified-Since: Mon, 01 Jan 1990 00:00:00 GMT"], 200, (0, 1024)),
]


def spelt(lines: object) -> str:
    return "; ".join(lines)[:70] if isinstance(lines, list) else ""


@pytest.mark.parametrize(("lines", "status", "part"), READS, ids=spelt)
def test_reading(service: Service, path: str, lines: list[str], status: int, part: tuple[int, int] | None) -> None:
    answer = ask(service, "GET", path, *lines)
    assert answer.status == status
    if status == 416:
        assert answer.headers["content-range"] == f"bytes */{SIZE}"
    if part is None:
        return
    start, stop = part
    assert answer.body == BODY[start:stop]
    assert answer.headers["etag"] == TAG
    assert answer.headers["repr-digest"] == PROOF
    assert answer.headers.get("content-length") == (None if status == 304 else str(stop - start))
    assert answer.headers.get("content-range") == (f"bytes {start}-{stop - 1}/{SIZE}" if status == 206 else None)


@pytest.mark.parametrize("lines", [lines for lines, _, _ in READS], ids=spelt)
def test_head_is_get_without_ranges_and_body(service: Service, path: str, lines: list[str]) -> None:
    """``Range`` is defined for GET alone (14.2)."""
    plain = [line for line in lines if not line.lower().startswith(("range:", "if-range:"))]
    head, got = ask(service, "HEAD", path, *lines), ask(service, "GET", path, *plain)
    assert (head.status, head.body) == (got.status, b"")
    ours = head.headers.keys() - {"date", "x-request-id"}
    assert ours == got.headers.keys() - {"date", "x-request-id"}
    assert {name: head.headers[name] for name in ours} == {name: got.headers[name] for name in ours}


#: Headers of a PUT of ``BODY`` where nothing is, and the status. What is refused leaves nothing.
DIGESTS: list[tuple[list[str], int]] = [
    ([f"Repr-Digest: {PROOF}"], 200),
    ([f"Content-Digest: {PROOF}"], 200),
    ([f"Repr-Digest: {PROOF};x=1"], 200),
    ([f"Repr-Digest: sha-512=:AAAA:,\t{PROOF}"], 200),
    (["Repr-Digest: sha-512=:AAAA:"], 200),  # RFC 9530, section 2: algorithms that are not known are passed over
    (["Repr-Digest:"], 200),
    ([f"Repr-Digest: {WRONG}"], 400),
    ([f"Content-Digest: {WRONG}"], 400),
    ([f"Repr-Digest: {PROOF}", f"Content-Digest: {WRONG}"], 400),
    ([f"Repr-Digest: {PROOF}", f"Repr-Digest: {WRONG}"], 400),
    ([f"Repr-Digest: {PROOF}, {WRONG}"], 400),
    ([f"Repr-Digest: {WRONG.upper()[:7]}{WRONG[7:]}"], 400),
    ([f"Repr-Digest: {WRONG.replace('=:', ' =:')}"], 400),
    ([f"Repr-Digest: {PROOF[:-1]}"], 400),
    (["Repr-Digest: sha-256"], 400),
    (["Repr-Digest: sha-256="], 400),
    (["Repr-Digest: sha-256=::"], 400),
    ([f"Repr-Digest: sha-256={SHA256.hexdigest()}"], 400),
    (["Content-Range: bytes 0-1023/1024"], 400),  # 14.4: a server that takes no parts must refuse them
    (["Content-Encoding: gzip"], 400),
    (["Range: bytes=0-1"], 200),  # 14.2
    (["If-Match: *"], 412),
    ([f"If-Match: {TAG}"], 412),
    (["If-None-Match: *"], 200),
    ([f"If-None-Match: {TAG}"], 200),
]


@pytest.mark.parametrize(("number", "lines", "status"), [(n, *one) for n, one in enumerate(DIGESTS)], ids=spelt)
def test_writing_where_nothing_is(service: Service, number: int, lines: list[str], status: int) -> None:
    place = f"{RUN}/rfc-new/{number}"
    assert ask(service, "PUT", place, *lines, body=BODY).status == status
    found = ask(service, "GET", place)
    assert (found.status, found.body == BODY) == ((200, True) if status == 200 else (404, False))


#: Conditions on what is there, and whether they hold for PUT and DELETE.
CONDITIONS: list[tuple[list[str], bool]] = [
    ([f"If-Match: {TAG}"], True),
    (['If-Match: "a"', f"If-Match: {TAG}"], True),
    (["If-Match: *"], True),
    ([f"If-Match: W/{TAG}"], False),
    (['If-Match: "other"'], False),
    (["If-Match:"], False),
    ([f"If-None-Match: {TAG}"], False),
    ([f"If-None-Match: W/{TAG}"], False),
    (["If-None-Match: *"], False),
    (["If-None-Match: *", "If-None-Match: *"], False),
    (['If-None-Match: "other"'], True),
    ([f"If-Match: {TAG}", "If-None-Match: *"], False),
]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize(("lines", "holds"), CONDITIONS, ids=spelt)
def test_changing_what_is_there(service: Service, method: str, lines: list[str], holds: bool) -> None:
    place = f"{RUN}/rfc-changed"
    assert ask(service, "PUT", place, body=BODY).status == 200
    assert ask(service, method, place, *lines, body=b"new" if method == "PUT" else b"").status == (
        200 if holds else 412
    )
    after = {"PUT": b"new", "DELETE": b""}[method] if holds else BODY
    found = ask(service, "GET", place)
    assert found.body == after if found.status == 200 else (method, holds) == ("DELETE", True)
