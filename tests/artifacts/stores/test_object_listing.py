"""Listings of a flat namespace: every name once, few requests, and no more memory for more files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import obstore
import pytest
from obstore.store import MemoryStore

from hokusai.artifacts import Entry, ObjectStore, store_at
from hokusai.artifacts.store import PAGE
from tests.artifacts.stores.test_store import listed
from tests.artifacts.test_crash import MEGABYTE

FILES = 100_000


async def filled(keys: list[str]) -> ObjectStore:
    memory = MemoryStore()
    for key in keys:
        await obstore.put_async(memory, key, b"1")
    return ObjectStore(memory)


async def test_directories_larger_than_a_page() -> None:
    keys = [f"w/{name}/{number:04}" for name in ("a", "a-b", "b", "c") for number in range(PAGE * 5 // 2)]
    keys += [
        "w/a",
        "w/a-c",
        "w/a0",
        "w/bb",
        "w/b\U0010ffff",
        "w/b/\U0010ffff",
        "w/b/\U0010fffff/x",
        "w/z/y/x",
        "other/x",
    ]
    store = await filled(keys)
    found = await listed(store, "w")
    files = [Entry(name, 1) for name in ("a", "a-c", "a0", "bb", "b\U0010ffff")]
    directories = [Entry(name, None) for name in ("a", "a-b", "b", "c", "z")]
    assert sorted(map(repr, found)) == sorted(map(repr, files + directories))
    assert await listed(store, "") == [Entry("other", None), Entry("w", None)]
    assert len(await listed(store, "w/b")) == PAGE * 5 // 2 + 2


async def test_pages_are_bounded() -> None:
    store = await filled([f"w/{number:05}" for number in range(PAGE + 1)])
    assert [len(page) async for page in store.list("w")] == [PAGE, 1]


class _Endless(BaseHTTPRequestHandler):
    """A bucket with ``FILES`` objects in one directory, made up as they are asked for."""

    protocol_version = "HTTP/1.1"
    asked: list[str]

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        self.asked.append(self.path)
        first = int(query.get("continuation-token", ["0"])[0])
        last = min(first + 1000, FILES)
        more = last < FILES
        one = "<Contents><Key>w/{:0200}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        one += "<ETag>&quot;e&quot;</ETag><Size>1</Size></Contents>"
        body = "<ListBucketResult>" + "".join(one.format(number) for number in range(first, last))
        body += f"<IsTruncated>{str(more).lower()}</IsTruncated>"
        body += f"<NextContinuationToken>{last}</NextContinuationToken>" * more + "</ListBucketResult>"
        self.send_response_only(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args: object) -> None: ...


@contextmanager
def endless() -> Iterator[tuple[int, list[str]]]:
    asked: list[str] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Endless,), {"asked": asked})) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_port, asked
        finally:
            server.shutdown()
            thread.join()


def resident() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


async def test_memory_is_flat_in_the_number_of_files(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with endless() as (port, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        store = store_at("s3://bucket")
        count, before, most = 0, 0, 0
        async for page in store.list("w"):
            count += len(page)
            before = before or (resident() if count >= 10_000 else 0)
            most = max(most, resident())
    assert count == FILES
    assert len(asked) == FILES / 1000
    print(f"{(most - before) / MEGABYTE:.1f} MiB more")
    assert most - before < 8 * MEGABYTE
