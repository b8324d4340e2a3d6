"""A client that transfers whole files over one socket each, with as little processor time as possible."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from bench.connection import WrongAnswer

_BUFFER = 1 << 20
_TIMEOUT = 600


@dataclass(frozen=True)
class Moved:
    """One file's way: seconds until it was there, and until its first byte was."""

    seconds: float
    first: float


def upload(base: str, target: str, headers: Mapping[str, str], file: Path) -> Moved:
    """PUT a file, straight from the page cache to the socket."""
    size = file.stat().st_size
    with _connected(base) as connection, file.open("rb") as source:
        start = time.perf_counter()
        connection.sendall(_head("PUT", base, target, {**headers, "Content-Length": str(size)}))
        connection.sendfile(source)
        _, first = _answer(connection, start)
        return Moved(time.perf_counter() - start, first)


def download(base: str, target: str, headers: Mapping[str, str], size: int) -> Moved:
    """GET a file of ``size`` bytes and drop what comes."""
    buffer = bytearray(_BUFFER)
    with _connected(base) as connection:
        start = time.perf_counter()
        connection.sendall(_head("GET", base, target, headers))
        received, first = _answer(connection, start)
        while received < size:
            got = connection.recv_into(buffer)
            if not got:
                raise WrongAnswer(f"{target} ended after {received} of {size} bytes")
            received += got
        return Moved(time.perf_counter() - start, first)


def together(calls: list[partial[Moved]]) -> tuple[float, list[Moved]]:
    """All at once, a thread each. Returns the seconds until the last was through."""
    with ThreadPoolExecutor(len(calls)) as threads:
        start = time.perf_counter()
        moved = [one.result() for one in [threads.submit(call) for call in calls]]
        return time.perf_counter() - start, moved


def _connected(base: str) -> socket.socket:
    parts = urlsplit(base)
    return socket.create_connection((str(parts.hostname), int(parts.port or 80)), timeout=_TIMEOUT)


def _head(method: str, base: str, target: str, headers: Mapping[str, str]) -> bytes:
    lines = {"Host": urlsplit(base).netloc, "Connection": "close", **headers}
    fields = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {target} HTTP/1.1\r\n{fields}\r\n".encode("latin-1")


def _answer(connection: socket.socket, start: float) -> tuple[int, float]:
    """Bytes of the body that came with the head, and the seconds until the first of them could be there."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(65536)
        if not piece:
            raise WrongAnswer(f"no answer: {head[:200]!r}")
        head += piece
    first = time.perf_counter() - start
    status = int(head.split(b" ", 2)[1])
    if status not in {200, 201, 204}:
        raise WrongAnswer(f"{status}: {head[:600]!r}")
    return len(head) - head.index(b"\r\n\r\n") - 4, first
