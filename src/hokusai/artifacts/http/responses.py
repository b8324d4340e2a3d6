"""Answers over ASGI: short ones, and streams of any length."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from starlette.types import Message, Receive, Scope, Send

from hokusai.artifacts.store import CHUNK, Piece, Stretch

log = logging.getLogger("hokusai.artifacts")

Headers = Sequence[tuple[bytes, bytes]]

#: ASGI's extension and message for files that the server sends itself (its specification, "Zero Copy Send").
ZEROCOPY = "http.response.zerocopysend"

JSON = (b"content-type", b"application/json")


def header(scope: Scope, name: bytes) -> str | None:
    """A request header; sent several times, it is one list (RFC 9110, section 5.3)."""
    found = [value for key, value in scope["headers"] if key == name]
    return b", ".join(found).decode("latin-1") if found else None


async def answer(send: Send, *, status: int = 200, headers: Headers = (), body: Piece = b"") -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


async def stream(
    pieces: AsyncGenerator[Piece, None] | AsyncGenerator[Piece | Stretch, None],
    receive: Receive,
    send: Send,
    *,
    status: int = 200,
    headers: Headers = (),
    stall_seconds: float,
) -> None:
    """Send pieces as they come, two in memory at most, until the client is gone or takes too long.

    ``stall_seconds`` is for each ``CHUNK``. What goes wrong before the first piece is there is raised before the
    answer has begun.
    """
    async with aclosing(pieces):
        piece = await anext(pieces, b"")
        following = await anext(pieces, b"")
        if not following and not isinstance(piece, Stretch):
            await answer(send, status=status, headers=headers, body=piece)
            return
        gone = asyncio.create_task(_hang_up(receive))
        try:
            await send({"type": "http.response.start", "status": status, "headers": list(headers)})
            while piece and not gone.done():
                async with asyncio.timeout(stall_seconds * max(1, len(piece) / CHUNK)):
                    await send(_message(piece, more=bool(following)))
                await asyncio.sleep(0)  # neither a cached file nor a client that has gone makes anybody wait
                piece, following = following, await anext(pieces, b"")
        except TimeoutError:
            log.info("a download was cut off: the client took nothing for %g seconds", stall_seconds)
        finally:
            gone.cancel()
            await asyncio.wait({gone})


def _message(piece: Piece | Stretch, *, more: bool) -> Message:
    if isinstance(piece, Stretch):
        facts = {"file": piece.file, "offset": piece.offset, "count": piece.length}
        return {"type": ZEROCOPY, **facts, "more_body": more}
    return {"type": "http.response.body", "body": piece, "more_body": more}


async def _hang_up(receive: Receive) -> None:
    """Returns when the client is gone: servers of ASGI before 2.4 do not tell it in ``send``."""
    while (await receive())["type"] != "http.disconnect":
        pass
