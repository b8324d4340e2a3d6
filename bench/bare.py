"""An ASGI application that only receives or sends a body, to measure what the HTTP server itself costs.

Run in servers' own environments, without the rest of this package: ``python bare.py PORT KIND`` with
``uvicorn`` or ``hokusai`` (uvicorn with ``hokusai.http.protocol``); ``granian bare:app``.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]

#: What Hokusai sends at once (``hokusai.artifacts.stores.posix.open_file``).
PIECE = bytes(1 << 19)


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """``PUT`` takes what comes, ``GET /N`` answers N pieces, ``GET /health`` none."""
    if scope["type"] != "http":
        raise RuntimeError("HTTP alone is served")
    while (await receive()).get("more_body"):
        pass
    count = int(scope["path"][1:]) if scope["path"][1:].isdecimal() else 0
    length = (b"content-length", str(count * len(PIECE)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    for _ in range(count):
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def main(port: str, kind: str) -> None:
    import uvicorn

    protocol: Any = "httptools"
    if kind == "hokusai":
        from hokusai.http.protocol import Protocol

        protocol = Protocol
    uvicorn.run(
        app, port=int(port), http=protocol, loop="uvloop", ws="none", lifespan="off", log_config=None, access_log=False
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
