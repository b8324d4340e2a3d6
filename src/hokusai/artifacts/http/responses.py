"""Responses over ASGI: short ones, and streams of any length."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from starlette.types import Message, Receive, Scope, Send

from hokusai.artifacts.store import CHUNK, FileSlice, Piece
from hokusai.asgi import ZERO_COPY_SEND

log = logging.getLogger("hokusai.artifacts")

Headers = Sequence[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")


def header(scope: Scope, name: bytes) -> str | None:
    """A request header. One that was sent several times is joined to one list (RFC 9110, section 5.3)."""
    found = [value for key, value in scope["headers"] if key == name]
    return b", ".join(found).decode("latin-1") if found else None


async def answer(send: Send, *, status: int = 200, headers: Headers = (), body: Piece = b"") -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


async def stream(
    pieces: AsyncGenerator[Piece, None] | AsyncGenerator[Piece | FileSlice, None],
    receive: Receive,
    send: Send,
    *,
    status: int = 200,
    headers: Headers = (),
    stall_seconds: float,
) -> None:
    """Send pieces as they come, with at most two in memory, until the client disconnects or reads too slowly.

    ``stall_seconds`` is the time for each ``CHUNK``. What fails before the first piece is raised before the response
    has begun.
    """
    async with aclosing(pieces):
        piece = await anext(pieces, b"")
        following = await anext(pieces, b"")
        if not following and not isinstance(piece, FileSlice):
            await answer(send, status=status, headers=headers, body=piece)
            return
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await send({"type": "http.response.start", "status": status, "headers": list(headers)})
            while piece and not gone.done():
                async with asyncio.timeout(stall_seconds * max(1, len(piece) / CHUNK)):
                    await send(_message(piece, more=bool(following)))
                await asyncio.sleep(0)  # let other requests run: sending a cached file, or to nobody, never waits
                piece, following = following, await anext(pieces, b"")
        except TimeoutError:
            log.info("a download was ended: the client did not read for %g seconds", stall_seconds)
        finally:
            gone.cancel()
            await asyncio.wait({gone})


def _message(piece: Piece | FileSlice, *, more: bool) -> Message:
    if isinstance(piece, FileSlice):
        facts = {"file": piece.file, "offset": piece.offset, "count": piece.length}
        return {"type": ZERO_COPY_SEND, **facts, "more_body": more}
    return {"type": "http.response.body", "body": piece, "more_body": more}


async def _disconnected(receive: Receive) -> None:
    """Returns when the client has disconnected. Before ASGI 2.4, servers do not report that in ``send``."""
    while (await receive())["type"] != "http.disconnect":
        pass
