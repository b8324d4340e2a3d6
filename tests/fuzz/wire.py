"""HTTP/1.1 byte by byte: sends what no client library would, and parses answers as strictly as RFC 9112."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

#: How long the server may say nothing before it is taken to be waiting for more.
QUIET_SECONDS = 0.25
END_SECONDS = 20
_STATUS = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) [\x20-\x7e]*")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\x80-\xff\t]*)")
_SIZE = re.compile(rb"[0-9a-fA-F]+")


@dataclass(frozen=True)
class Answer:
    """One response. ``cut`` says that the connection ended inside it."""

    status: int
    headers: dict[str, str]
    body: bytes
    cut: bool = False

    @property
    def code(self) -> str:
        """The error's code, where everything that an error answer has is there."""
        shape: Any = json.loads(self.body)
        assert set(shape) == {"error_code", "message", "hokusai"}, shape
        assert {"code", "remedy", "request_id"} <= set(shape["hokusai"]), shape
        assert shape["hokusai"]["request_id"] == self.headers["x-request-id"]
        assert shape["error_code"]
        assert shape["message"]
        assert self.headers["content-type"] == "application/json"
        code: str = shape["hokusai"]["code"]
        return code


@dataclass(frozen=True)
class Said:
    """All that the server sent on one connection. ``ended`` says that it closed."""

    raw: bytes
    ended: bool


def talk(port: int, pieces: Iterable[bytes], *, hang_up: bool = False, quiet: float = QUIET_SECONDS) -> Said:
    """Send ``pieces`` one by one and read until the server ends the connection or says nothing more."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                line.sendall(piece)
        if hang_up:
            return Said(b"", ended=False)
        return _all(line, quiet)


def _all(line: socket.socket, quiet: float) -> Said:
    raw = bytearray()
    line.settimeout(quiet)
    while True:
        try:
            piece = line.recv(65536)
        except TimeoutError:
            if b"\r\nconnection: close\r\n" in raw and line.gettimeout() != END_SECONDS:
                line.settimeout(END_SECONDS)  # it has said that it will end: a busy machine may be late with it
                continue
            return Said(bytes(raw), ended=False)
        except ConnectionResetError:
            return Said(bytes(raw), ended=True)
        if not piece:
            return Said(bytes(raw), ended=True)
        raw += piece


def answers(said: Said, *, heads: Iterable[int] = ()) -> list[Answer]:
    """What was said, as responses; ``heads`` are the places of answers to HEAD. Fails where it is none."""
    found: list[Answer] = []
    left, places = said.raw, frozenset(heads)
    while left:
        answer, left = _answer(left, without_body=len([one for one in found if one.status >= 200]) in places)
        found.append(answer)
    return found


def _answer(raw: bytes, *, without_body: bool) -> tuple[Answer, bytes]:
    head, end, rest = raw.partition(b"\r\n\r\n")
    assert end, f"headers without an end: {raw[:300]!r}"
    first, *lines = head.split(b"\r\n")
    status = _STATUS.fullmatch(first)
    assert status, f"no status line: {first!r}"
    headers: dict[str, str] = {}
    for line in lines:
        header = _HEADER.fullmatch(line)
        assert header, f"no header: {line!r}"
        name = header[1].decode().lower()
        assert name not in headers, f"{name} twice"
        headers[name] = header[2].decode("latin-1").strip()
    number = int(status[1])
    if number < 200 or number in {204, 304} or without_body:
        return Answer(number, headers, b""), rest
    assert ("content-length" in headers) != ("transfer-encoding" in headers), headers
    if "content-length" in headers:
        size = int(headers["content-length"])
        return Answer(number, headers, rest[:size], cut=len(rest) < size), rest[size:]
    assert headers["transfer-encoding"] == "chunked"
    body, rest, cut = _chunks(rest)
    return Answer(number, headers, body, cut), rest


def _chunks(raw: bytes) -> tuple[bytes, bytes, bool]:
    body = b""
    while raw:
        line, end, raw = raw.partition(b"\r\n")
        if not end:
            break
        assert _SIZE.fullmatch(line), f"no chunk size: {line!r}"
        size = int(line, 16)
        body += raw[:size]
        assert len(raw) <= size or raw[size : size + 2] in {b"\r", b"\r\n"}, raw[size : size + 10]
        raw = raw[size + 2 :]
        if not size:
            return body, raw, False
    return body, b"", True
