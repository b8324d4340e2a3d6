"""A minimal HTTP/1.1 client for load: one keep-alive connection, one request at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 120


class WrongAnswer(Exception):
    """A server gave another answer than the one that is measured."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """Opened on the first request, and again where the server closed it between two requests."""

    def __init__(self, base: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(base)
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        lines = {"Host": parts.netloc, **headers}
        self._head = "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode("latin-1")
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._streams:
            self._streams[1].close()
            self._streams = None

    async def request(
        self, method: str, target: str, body: bytes = b"", content_type: str = "", authorization: str = ""
    ) -> Answer:
        """Raises ``OSError``, ``EOFError`` or ``TimeoutError`` where no whole answer came."""
        head = f"{method} {target} HTTP/1.1\r\n".encode("latin-1") + self._head
        if authorization:
            head += f"Authorization: {authorization}\r\n".encode("latin-1")
        if method not in {"GET", "HEAD"}:
            kind = f"Content-Type: {content_type}\r\n" if content_type else ""
            head += f"{kind}Content-Length: {len(body)}\r\n".encode("latin-1")
        async with asyncio.timeout(TIMEOUT):
            if self._streams is None or self._streams[0].at_eof():
                self.close()
                self._streams = await asyncio.open_connection(self._host, self._port)
            reader, writer = self._streams
            try:
                writer.write(head + b"\r\n" + body)
                return await self._answer(reader)
            except BaseException:
                self.close()  # what may still come of this answer must not be taken for the next one
                raise

    async def _answer(self, reader: asyncio.StreamReader) -> Answer:
        start, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        if "content-length" in headers:
            body = await reader.readexactly(int(headers["content-length"]))
        elif headers.get("transfer-encoding") == "chunked":
            body = await _chunks(reader)
        else:
            raise WrongAnswer(f"an answer of no stated length: {start}")
        if headers.get("connection") == "close":
            self.close()
        return Answer(int(start.split(" ", 2)[1]), body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return b"".join(parts)
