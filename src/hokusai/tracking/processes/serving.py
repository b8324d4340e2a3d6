"""What an MLflow process does: one request after another, until the gateway closes the socket."""

from __future__ import annotations

import os
import socket
from typing import Any

from hokusai.tracking.processes import channel, met_outages
from hokusai.tracking.processes.wsgi import WsgiApp, call

#: Heads of answers that are none of MLflow's.
OUT_OF_MEMORY = "memory"
TOO_LARGE = "large"


def serve(app: WsgiApp, connection: socket.socket, *, max_answer_bytes: int) -> None:
    """Answers requests from ``connection``; returns when its other end is gone."""
    connection.setblocking(True)
    while (message := channel.receive(connection)) is not None:
        head, body = message
        met_outages.forget()
        try:
            status, headers, content = call(app, head, body)
        except MemoryError:
            connection.sendall(channel.encode({"failed": OUT_OF_MEMORY}, b""))
            return
        answer: dict[str, Any] = {"status": status, "headers": headers}
        if status >= 400 and (outage := met_outages.met()):
            answer["outage"] = outage.code
        if len(content) > max_answer_bytes:
            answer, content = {"failed": TOO_LARGE}, b""
        del message, head, body
        try:
            connection.sendall(channel.encode(answer, content))
        except OSError:
            os._exit(0)  # the gateway is gone
        del content
