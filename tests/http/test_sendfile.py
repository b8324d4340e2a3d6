"""Slices of files come out as they are on the disk: over real sockets, under both event loops."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from hokusai.asgi import ZERO_COPY_SEND
from tests.http.test_large_body import listening, wait_for
from tests.http.test_protocol import Line

SIZE = 24 << 20  # more than a socket's buffers hold
SLICE = 4 << 20


class FilesApp:
    """``/OFFSET-LENGTH,…`` answers with these slices of a file, in between and around them a word of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sent = 0
        self.ended: list[str] = []
        self.stall_seconds = 30.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert ZERO_COPY_SEND in scope["extensions"]
        parts = [tuple(map(int, part.split("-"))) for part in scope["path"].strip("/").split(",")]
        length = sum(2 + length for _, length in parts)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % length)]})
        with self.path.open("rb") as file:
            try:
                async with asyncio.timeout(self.stall_seconds):
                    async for message in self._messages(file.fileno(), parts):
                        await send(message)
                        self.sent += message.get("count", 0)
                self.ended.append("whole")
            except (TimeoutError, OSError) as error:
                self.ended.append(type(error).__name__)
                raise

    async def _messages(self, file: int, parts: list[tuple[int, ...]]) -> AsyncIterator[dict[str, Any]]:
        for number, (offset, length) in enumerate(parts):
            yield {"type": "http.response.body", "body": b"<>", "more_body": True}
            for start in range(offset, offset + length, SLICE):
                count = min(SLICE, offset + length - start)
                last = number == len(parts) - 1 and start + count == offset + length
                yield {"type": ZERO_COPY_SEND, "file": file, "offset": start, "count": count, "more_body": not last}


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return os.urandom(SIZE)


@pytest.fixture
def app(content: bytes, tmp_path: Path) -> FilesApp:
    (tmp_path / "file").write_bytes(content)
    return FilesApp(tmp_path / "file")


@pytest.fixture(params=["uvloop", "asyncio"])
def port(request: pytest.FixtureRequest, app: FilesApp) -> Iterator[int]:
    with listening(request.param, app) as found:
        yield found


def get(*parts: tuple[int, int]) -> bytes:
    return f"GET /{','.join(f'{offset}-{length}' for offset, length in parts)} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def expected(content: bytes, *parts: tuple[int, int]) -> bytes:
    return b"".join(b"<>" + content[offset : offset + length] for offset, length in parts)


def descriptors() -> int:
    """How many this process has open, and the server in it."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the number is enough


@pytest.fixture
def before(port: int, app: FilesApp) -> int:
    """As many as there are between two requests."""
    with Line(port) as line:
        line.send(get((0, 1))).answer()
        wait_for(lambda: app.ended.pop() == "whole" if app.ended else False)
    return descriptors()


PARTS = [((0, SIZE),), ((1, 1),), ((7, SLICE + 1), (0, 3), (SIZE - 5, 5)), ((SLICE, SLICE),)]


def test_every_byte_in_its_place_on_one_connection(port: int, content: bytes) -> None:
    with Line(port) as line:
        for parts in (*PARTS, PARTS[0]):
            assert line.send(get(*parts)).answer().body == expected(content, *parts)


def test_pipelined_answers_keep_their_order(port: int, content: bytes) -> None:
    with Line(port) as line:
        line.send(b"".join(get(*parts) for parts in PARTS))
        for parts in PARTS:
            assert line.answer().body == expected(content, *parts)


def test_a_reader_that_takes_nothing_is_waited_for(port: int, app: FilesApp, content: bytes) -> None:
    with Line(port) as line:
        line.send(get((0, SIZE)))
        time.sleep(0.5)
        assert app.sent < SIZE
        assert not app.ended
        assert line.answer().body == expected(content, (0, SIZE))
    wait_for(lambda: app.ended == ["whole"])


def test_what_the_transport_still_holds_goes_first(port: int, content: bytes, app: FilesApp) -> None:
    """A socket that takes little at a time: the words around a stretch stay with the transport for a while."""
    with socket.socket() as narrow:
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        narrow.connect(("127.0.0.1", port))
        parts = [(number * 100_000, 300_000) for number in range(40)]
        narrow.sendall(get(*parts))
        time.sleep(0.2)
        with narrow.makefile("rb") as reader:
            while reader.readline() != b"\r\n":
                pass
            assert reader.read(len(expected(content, *parts))) == expected(content, *parts)


@pytest.mark.parametrize("how", ["closed", "reset"])
def test_a_client_that_goes_away_leaves_nothing_open(port: int, app: FilesApp, before: int, how: str) -> None:
    for _ in range(5):
        with Line(port) as line:
            line.send(get((0, SIZE)))
            line.reader.read(1000)
            if how == "reset":
                line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_for(lambda: len(app.ended) == 5)
    wait_for(lambda: descriptors() <= before)


def test_one_that_is_given_up_leaves_nothing_open(port: int, app: FilesApp, before: int) -> None:
    app.stall_seconds = 0.3
    with Line(port) as line:
        line.send(get((0, SIZE)))
        wait_for(lambda: app.ended == ["TimeoutError"])
    wait_for(lambda: descriptors() <= before)


def test_a_file_that_became_shorter_cuts_the_answer(port: int, app: FilesApp, content: bytes) -> None:
    os.truncate(app.path, SIZE // 2)
    with Line(port) as line:
        line.send(get((0, SIZE)))
        while line.reader.readline() != b"\r\n":
            pass
        assert line.reader.read() == expected(content, (0, SIZE // 2))
    assert app.ended == ["OSError"]


def test_a_file_system_that_cannot_do_it_is_read() -> None:
    """The kernel's own files are of that kind."""
    own = Path("/proc/self/limits")

    async def limits(_scope: Scope, _receive: Receive, send: Send) -> None:
        with own.open("rb") as file:
            headers = [(b"content-length", b"%d" % len(own.read_bytes()))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            facts = {"file": file.fileno(), "offset": 0, "count": len(own.read_bytes())}
            await send({"type": ZERO_COPY_SEND, **facts})

    with listening("uvloop", limits) as port, Line(port).send(get((0, 1))) as line:
        assert line.answer().body == own.read_bytes()


def test_more_than_was_stated_is_not_sent(tmp_path: Path) -> None:
    async def boasts(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"3")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        with (tmp_path / "file").open("rb") as file:
            await send({"type": ZERO_COPY_SEND, "file": file.fileno(), "offset": 0, "count": 4})

    (tmp_path / "file").write_bytes(b"1234")
    with listening("uvloop", boasts) as port, Line(port).send(get((0, 1))) as line:
        assert b"1234" not in line.reader.read()
