"""HTTP/1.1 as bytes: requests are sent exactly as written, and answers are kept exactly as they came."""

from __future__ import annotations

import gzip
import json
import socket
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Headers = tuple[tuple[str, str], ...]
SECONDS = 30.0


@dataclass(frozen=True)
class Answer:
    """One answer. ``status`` 0: the server ended the connection instead."""

    status: int
    headers: Headers = ()
    body: bytes = b""
    raw: bytes = field(default=b"", repr=False)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def text(self) -> bytes:
        """Everything that came, and the body once more without its content coding."""
        return self.raw + b"\n" + self._plain()

    def json(self) -> Any:
        try:
            return json.loads(self._plain())
        except ValueError:
            return None

    def _plain(self) -> bytes:
        coding = (self.header("content-encoding") or "").lower()
        try:
            if coding == "gzip":
                return gzip.decompress(self.body)
            return zlib.decompress(self.body) if coding == "deflate" else self.body
        except (OSError, EOFError, zlib.error):
            return self.body


class Wire:
    """A connection to ``address``, made when it is needed, from ``source`` (an address of this machine)."""

    def __init__(self, address: tuple[str, int], *, source: str = "127.0.0.1", seconds: float = SECONDS) -> None:
        self.address = address
        self.source = source
        self.seconds = seconds
        self._socket: socket.socket | None = None
        self._reader: Any = None

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def request(self, method: str, target: str, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> Answer:
        """One request with its answer; on a new connection where the old one has gone stale."""
        given = list(headers)
        names = {name.lower() for name, _ in given}
        if "host" not in names:
            given.insert(0, ("Host", f"{self.address[0]}:{self.address[1]}"))
        if "content-length" not in names and "transfer-encoding" not in names and (body or method in _WITH_BODY):
            given.append(("Content-Length", str(len(body))))
        lines = "".join(f"{name}: {value}\r\n" for name, value in given)
        data = f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("utf-8", "surrogateescape") + body
        stale = self._socket is not None
        self.send(data)
        answer = self.answer(method)
        if answer.status == 0 and stale and not answer.raw:
            self.close()
            self.send(data)
            answer = self.answer(method)
        return answer

    def send(self, data: bytes) -> None:
        """A server that has refused may stop reading: its answer is then to be read all the same."""
        if self._socket is None:
            self._socket = socket.create_connection(self.address, self.seconds, source_address=(self.source, 0))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._reader = self._socket.makefile("rb")
        try:
            self._socket.sendall(data)
        except OSError:
            return

    def finish(self) -> None:
        """Say that nothing more will be sent."""
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:
                return

    def answer(self, method: str = "GET") -> Answer:
        """The next answer, without the interim ones (RFC 9110, 15.2). Status 0 where none comes."""
        try:
            found = self._answer(method)
            while found.status and found.status < 200:
                found = self._answer(method)
        except (OSError, ValueError):
            found = Answer(0)
        if found.status == 0 or (found.header("connection") or "").lower() == "close":
            self.close()
        return found

    def answers(self, most: int) -> list[Answer]:
        """What comes until the server ends the connection, or has said ``most`` things."""
        found: list[Answer] = []
        while len(found) < most and self._socket is not None:
            found.append(self.answer())
            if found[-1].status == 0:
                break
        return found

    def close(self) -> None:
        if self._socket is not None:
            self._reader.close()
            self._socket.close()
            self._socket = None

    def _answer(self, method: str) -> Answer:
        if self._socket is None:
            return Answer(0)
        first: bytes = self._reader.readline()
        if not first.startswith(b"HTTP/1."):
            return Answer(0, raw=first)
        head, headers = [first], []
        while (line := self._reader.readline()) not in {b"\r\n", b"\n", b""}:
            head.append(line)
            name, _, value = line.decode("latin-1").partition(":")
            headers.append((name.strip(), value.strip()))
        found = Answer(int(first.split()[1]), tuple(headers))
        body = b"" if method == "HEAD" or found.status in {204, 304} or found.status < 200 else self._body(found)
        return Answer(found.status, found.headers, body, b"".join(head) + b"\r\n" + body)

    def _body(self, head: Answer) -> bytes:
        if "chunked" in (head.header("transfer-encoding") or "").lower():
            pieces = []
            while size := int(self._reader.readline().split(b";")[0], 16):
                pieces.append(self._reader.read(size))
                self._reader.readline()
            while self._reader.readline().strip():
                pass
            return b"".join(pieces)
        length = head.header("content-length")
        return self._reader.read(int(length)) if length is not None else self._reader.read()


_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
