"""Requests to a deployment, from outside. A fault is an answer too: nothing here raises for one."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2

from hokusai.doctor.answer import KEPT, Answer
from hokusai.doctor.trouble import trouble_of

_Origin = tuple[str, str]  # scheme, host with port

_AGENT = "hokusai-doctor"
_READS = frozenset({"GET", "HEAD"})
CONNECT_SECONDS = 5.0
#: How long writes are waited for that nobody asks about any more.
SETTLE_SECONDS = 6.0


class Probe:
    """An HTTP client that never follows a redirect, never retries, and keeps what it saw.

    ``seconds`` is how long a host that has answered before may stay silent, ``first`` how long
    another: once it has let that pass, it is not waited for again. Certificates are verified against
    the machine's trust store, or ``SSL_CERT_FILE``.

    A write goes on when the one who asked is cancelled: cut, it might still be carried out, and later
    than what is to undo it. ``settled`` waits for those.
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
        """One exchange; ``fresh`` on a connection of its own, so that a balancer chooses anew."""
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
        """Wait for the writes under way, ``SETTLE_SECONDS`` at most. Returns how many are still without an answer."""
        if not self._writes:
            return 0
        _, open_ = await asyncio.wait(self._writes, timeout=SETTLE_SECONDS)
        return len(open_)

    async def _exchange(self, client: httpx2.AsyncClient, method: str, url: str, **what: Any) -> Answer:
        origin = urlsplit(url)[:2]
        seen = _Seen(method, url)
        if origin in self._silent - self._answered:
            return seen.answer(TimeoutError("it has not answered before"))
        patience = httpx2.Timeout(self._seconds if origin in self._answered else self._first, connect=CONNECT_SECONDS)
        try:
            async with client.stream(method, url, timeout=patience, **what) as response:
                self._answered.add(origin)
                await seen.read(response)
        except httpx2.ReadTimeout as error:
            self._silent.add(origin)
            return seen.answer(error)
        except (httpx2.HTTPError, OSError, httpx2.InvalidURL) as error:
            return seen.answer(error)
        return seen.answer()

    async def begin(self, method: str, url: str, *, headers: Mapping[str, str], start: bytes, wait: float) -> bytes:
        """Send a request's head and the start of its body, and no more; what came back within ``wait`` seconds.

        Empty: nobody said anything before having the whole body.
        """
        parts = urlsplit(url)
        tls = self.tls if parts.scheme == "https" else None
        port = parts.port or (443 if tls else 80)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=tls)
        except OSError:
            return b""
        try:
            lines = [f"{method} {parts.path} HTTP/1.1", f"Host: {parts.netloc}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            writer.write("\r\n".join([*lines, "", ""]).encode() + start)
            async with asyncio.timeout(wait):
                await writer.drain()
                return await reader.read(4096)
        except (OSError, TimeoutError):
            return b""
        finally:
            writer.close()


class _Seen:
    """An exchange while it goes on, so that what is cut leaves what came before."""

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
            self._body += block[: KEPT - len(self._body)]

    def answer(self, error: Exception | None = None) -> Answer:
        trouble, words = trouble_of(error) if error else (None, "")
        return Answer(
            self._method,
            self._url.path or "/",
            self._status,
            self._headers,
            bytes(self._body),
            self._size,
            self._hash.hexdigest(),
            time.perf_counter() - self._started,
            trouble,
            words,
        )
