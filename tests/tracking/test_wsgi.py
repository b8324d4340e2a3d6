"""MLflow's threads and the queue in front of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from starlette.types import Message

from hokusai.tracking.wsgi import Bridge


def scope(path: str) -> dict[str, Any]:
    return {"method": "GET", "path": path, "query_string": b"", "headers": []}


async def receive() -> Message:
    return {"type": "http.request", "body": b""}


async def send(_message: Message) -> None: ...


async def test_a_request_that_ends_in_the_queue_never_begins() -> None:
    """Its key may have been revoked meanwhile."""
    began: list[str] = []
    let_go = threading.Event()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        began.append(environ["PATH_INFO"])
        let_go.wait(20)
        start_response("200 OK", [])
        return [b""]

    bridge = Bridge(app, threads=1, timeout=20)
    first, queued, last = (asyncio.create_task(bridge(scope(name), receive, send)) for name in ("/1", "/2", "/3"))
    while not began:
        await asyncio.sleep(0.001)
    queued.cancel()
    with pytest.raises(asyncio.CancelledError):
        await queued
    let_go.set()
    await asyncio.gather(first, last)
    assert began == ["/1", "/3"]
    assert bridge._pending == 0
    bridge.close()
