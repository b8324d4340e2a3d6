"""How requests and answers go over the socket between the gateway and an MLflow process.

A message is two lengths in bytes (unsigned, 32 bits each, network order), then a head in JSON, then a body.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import Any

_LENGTHS = struct.Struct("!II")

#: The largest message on the control socket of the fork server.
MAX_CONTROL_BYTES = 1 << 20

Message = tuple[dict[str, Any], bytes]


def encode(head: dict[str, Any], body: bytes) -> bytes:
    text = json.dumps(head, separators=(",", ":")).encode()
    return b"".join((_LENGTHS.pack(len(text), len(body)), text, body))


async def read(reader: asyncio.StreamReader) -> Message:
    """The next message. Raises ``asyncio.IncompleteReadError`` where the other end is gone."""
    head, body = _LENGTHS.unpack(await reader.readexactly(_LENGTHS.size))
    text = await reader.readexactly(head)
    return json.loads(text), await reader.readexactly(body) if body else b""


def receive(connection: socket.socket) -> Message | None:
    """The next message, or None where the other end is gone. Blocks."""
    lengths = _exactly(connection, _LENGTHS.size)
    if lengths is None:
        return None
    head, body = _LENGTHS.unpack(lengths)
    text, rest = _exactly(connection, head), _exactly(connection, body)
    return None if text is None or rest is None else (json.loads(text), bytes(rest))


def _exactly(connection: socket.socket, size: int) -> bytearray | None:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = connection.recv_into(view)
        if not count:
            return None
        view = view[count:]
    return data
