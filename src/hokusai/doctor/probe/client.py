"""Requests to a deployment, from outside. A failure is an answer too: ``ask`` never raises for one."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2

from hokusai.doctor.probe.answer import MAX_KEPT_BYTES, Answer
from hokusai.doctor.probe.connection_failure import classify

_Origin = tuple[str, str]  # scheme, host with port

_AGENT = "hokusai-doctor"
_READS = frozenset({"GET", "HEAD"})
CONNECT_SECONDS = 5.0
#: How long ``settled`` waits for writes whose answers nobody waits for any more.
SETTLE_SECONDS = 6.0


class Probe:
    """An HTTP client that never follows a redirect, never retries, and keeps what it saw.

    ``seconds`` is how long a host that has answered before may take for an answer, ``first`` how long
    any other host; a host that never answered within that time is not asked again. Certificates are
    verified against the machine's trust store, or ``SSL_CERT_FILE``.

    A write continues when its caller is cancelled: cut off, it might still be carried out, and later
    than the request that removes what it made. ``settled`` waits for these writes.
    """

    def __init__(self, *, seconds: float = 12, first: float = 7) -> None:
        self.tls = ssl.create_default_context()
        self._seconds, self._first = seconds, first
        self._answered, self._silent = set[_Origin](), set[_Origin]()
        self._writes = set[asyncio.Task[Answer]]()
        head = {"User-Agent": _AGENT, "Accept-Encoding": "identity"}
        self._pooled = httpx2.AsyncClient(verify=self.tls, headers=head)
        once = httpx2.Limits(max_keepalive_connections=0)
        self._fresh = httpx2.AsyncClient(verify=self.tls, headers=head, limits=once)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for write in self._writes:
            write.cancel()
        await self._pooled.aclose()
        await self._fresh.aclose()

    async def ask(
        self,
        method: str,
        url: str,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content: bytes | AsyncIterator[bytes] | None = None,
        fresh: bool = False,
    ) -> Answer:
        """One request; ``fresh`` on a connection of its own, so that a load balancer chooses again."""
        client = self._fresh if fresh else self._pooled
        head = dict(headers or {}) | ({"Authorization": f"Bearer {key}"} if key else {})
        exchange = self._exchange(client, method, url, headers=head, params=query, json=body, content=content)
        if method in _READS:
            return await exchange
        write = asyncio.create_task(exchange)
        self._writes.add(write)
        write.add_done_callback(self._writes.discard)
        return await asyncio.shield(write)

    async def settled(self) -> int:
        """Wait for unanswered writes, at most ``SETTLE_SECONDS``. Returns how many still have no answer."""
        if not self._writes:
            return 0
        _, pending = await asyncio.wait(self._writes, timeout=SETTLE_SECONDS)
        return len(pending)

    async def _exchange(self, client: httpx2.AsyncClient, method: str, url: str, **request: Any) -> Answer:
        origin = urlsplit(url)[:2]
        exchange = _Exchange(method, url)
        if origin in self._silent - self._answered:
            return exchange.answer(TimeoutError("an earlier request got no answer"))
        seconds = self._seconds if origin in self._answered else self._first
        try:
            timeout = httpx2.Timeout(seconds, connect=CONNECT_SECONDS)
            async with client.stream(method, url, timeout=timeout, **request) as response:
                self._answered.add(origin)
                await exchange.read(response)
        except httpx2.ReadTimeout as error:
            self._silent.add(origin)
            return exchange.answer(error)
        except (httpx2.HTTPError, OSError, httpx2.InvalidURL) as error:
            return exchange.answer(error)
        return exchange.answer()

    @asynccontextmanager
    async def unfinished(
        self, method: str, url: str, *, headers: Mapping[str, str], start: bytes
    ) -> AsyncIterator[Unfinished]:
        """A request of which only the head and the start of the body are sent. Raises ``OSError`` if it cannot be."""
        parts = urlsplit(url)
        tls = self.tls if parts.scheme == "https" else None
        async with asyncio.timeout(CONNECT_SECONDS):
            port = parts.port or (443 if tls else 80)
            reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=tls)
        lines = [f"{method} {parts.path} HTTP/1.1", f"Host: {parts.netloc}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + start)
        reading = asyncio.create_task(reader.read(4096))
        try:
            yield Unfinished(reading)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            writer.close()


class Unfinished:
    """A request whose body is still incomplete."""

    def __init__(self, reading: asyncio.Task[bytes]) -> None:
        self._reading = reading

    async def reply(self, seconds: float) -> bytes | None:
        """The first bytes of the answer; None if there are none within ``seconds``, empty if the connection ended."""
        await asyncio.wait({self._reading}, timeout=seconds)
        if not self._reading.done():
            return None
        return b"" if self._reading.exception() else self._reading.result()


class _Exchange:
    """A request and what has come back so far, so that an answer that is cut off keeps its beginning."""

    def __init__(self, method: str, url: str) -> None:
        self._method, self._url = method, urlsplit(url)
        self._started = time.perf_counter()
        self._status, self._headers = 0, dict[str, str]()
        self._body, self._size, self._hash = bytearray(), 0, hashlib.sha256()

    async def read(self, response: httpx2.Response) -> None:
        self._status, self._headers = response.status_code, dict(response.headers)
        async for block in response.aiter_raw():
            self._size += len(block)
            self._hash.update(block)
            self._body += block[: MAX_KEPT_BYTES - len(self._body)]

    def answer(self, error: Exception | None = None) -> Answer:
        failure, detail = classify(error) if error else (None, "")
        return Answer(
            method=self._method,
            path=self._url.path or "/",
            status=self._status,
            headers=self._headers,
            body=bytes(self._body),
            size=self._size,
            sha256=self._hash.hexdigest(),
            seconds=time.perf_counter() - self._started,
            failure=failure,
            detail=detail,
        )
