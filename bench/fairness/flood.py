"""Many connections at a time, and what each of them says."""

from __future__ import annotations

import contextlib
import http.client
import selectors
import socket
import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

#: A host of this machine's loopback network may be anything in 127.0.0.0/8. So many connections come from each.
PER_ADDRESS = 100

_FILES = "/api/2.0/mlflow-artifacts/artifacts"
_PUT = f"PUT {_FILES}/1/x HTTP/1.1\r\nHost: h\r\n"
_LONG = 10_000_000_000
_EXPECT = "Expect: 100-continue\r\n"
_CHUNKED = "Transfer-Encoding: chunked\r\n"
_GET = b"GET /health HTTP/1.1\r\nHost: h\r\n"

#: What a client without a key sends, and sends no more.
STRANGERS: Mapping[str, bytes] = MappingProxyType(
    {
        "nothing": b"",
        "one byte": b"P",
        "half a head": b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 31_000,
        "99 headers": b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 98,
        "a long path": b"GET /" + b"%25" * 2700 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
        "a long query": b"GET /api/2.0/mlflow/runs/get?x=" + b"%25" * 10_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
        "one byte of 10 GB": f"{_PUT}Content-Length: {_LONG}\r\n\r\nx".encode(),
        "200 KB of 10 GB": f"{_PUT}Content-Length: {_LONG}\r\n\r\n".encode() + b"x" * 200_000,
        "one byte of 10 GB, after asking": f"{_PUT}{_EXPECT}Content-Length: {_LONG}\r\n\r\nx".encode(),
        "one byte of 10 GB, HTTP/1.0": f"{_PUT}Content-Length: {_LONG}\r\n\r\nx".replace("1.1", "1.0").encode(),
        "most of 200 KB": f"{_PUT}Content-Length: 200000\r\n\r\n".encode() + b"x" * 190_000,
        "one chunk": f"{_PUT}{_CHUNKED}\r\n30000\r\n".encode() + b"x" * 150_000,
        "one-byte chunks": f"{_PUT}{_CHUNKED}\r\n".encode() + b"1\r\nx\r\n" * 30_000,
        "one chunk, after asking": f"{_PUT}{_EXPECT}{_CHUNKED}\r\n1\r\nx\r\n".encode(),
        "4 MB of JSON": b"POST /api/2.0/mlflow/runs/create HTTP/1.1\r\nHost: h\r\nContent-Length: 4000000\r\n\r\n[1,",
        "1,000 requests": (_GET + b"\r\n") * 1_000,
        "1,000 requests behind chunks": _GET + _CHUNKED.encode() + b"\r\n0\r\n\r\n" + (_GET + b"\r\n") * 1_000,
        "1,000 long answers": b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: h\r\n\r\n" * 1_000,
    }
)


class Flood:
    """``count`` connections that have each sent ``data``, as much as is taken in ``seconds``, and read nothing."""

    def __init__(
        self, port: int, count: int, data: bytes = b"", *, per_address: int = PER_ADDRESS, seconds: float = 1.0
    ) -> None:
        self._selector = selectors.DefaultSelector()
        self.left: dict[socket.socket, memoryview] = {}
        self.connections: list[socket.socket] = []
        for number in range(count):
            self._open(port, f"127.77.{number // per_address}.1", memoryview(data))
            if number % 100 == 99:
                self.send(0.01)  # so that the server's backlog does not fill
        self.send(seconds)

    def __enter__(self) -> Flood:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, port: int, source: str, data: memoryview) -> None:
        connection = socket.create_connection(("127.0.0.1", port), 10, source_address=(source, 0))
        connection.setblocking(False)
        # What the server sends is not read: a small buffer here leaves it there.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.connections.append(connection)
        if data:
            self.left[connection] = data
            self._selector.register(connection, selectors.EVENT_WRITE)

    def send(self, seconds: float) -> None:
        """Go on sending, until everything is sent or time is up."""
        end = time.monotonic() + seconds
        while self.left and time.monotonic() < end:
            for key, _ in self._selector.select(max(0.0, end - time.monotonic())):
                self._send(key.fileobj)  # type: ignore[arg-type]

    def _send(self, connection: socket.socket) -> None:
        try:
            sent = connection.send(self.left[connection])
        except BlockingIOError:
            return
        except OSError:
            sent = len(self.left[connection])
        self.left[connection] = self.left[connection][sent:]
        if not self.left[connection]:
            del self.left[connection]
            self._selector.unregister(connection)

    def unsent(self) -> int:
        """Bytes that the server has not taken yet."""
        return sum(map(len, self.left.values()))

    def open(self, *, read: bool = True) -> int:
        """How many of them the server has not closed: those where reading says so, or those where sending does."""
        if read:
            return sum(map(_is_open, self.connections))
        return len(self.left)

    def close(self) -> None:
        for connection in self.connections:
            connection.close()
        self._selector.close()


def _is_open(connection: socket.socket) -> bool:
    try:
        while connection.recv(65536):
            pass
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


@contextlib.contextmanager
def open_files() -> Iterator[None]:
    """As many open files as the system lets this process have."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def read_document(port: int) -> None:
    """The server puts the document of its API together once, which takes 3 MB: no connection's cost."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", "/api/v1/openapi.json")
        connection.getresponse().read()


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port
