"""A WSGI app for MLflow's processes that does what its query says: the worst that MLflow could be made to do."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl

MEBIBYTE = 1 << 20


def load(_database_url: str) -> tuple[Callable[..., Iterable[bytes]], list[tuple[str, str]]]:
    return app, [("GET", "/act")]


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    query = dict(parse_qsl(environ["QUERY_STRING"]))
    result = _ACTIONS[query["do"]](float(query.get("much", 0)))
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(result).encode()]


def _wait(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def _compute(seconds: float) -> int:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return os.getpid()


def _take(mebibytes: float) -> int:
    """Memory that is used, a little at a time."""
    taken = []
    for _ in range(int(mebibytes)):
        taken.append(b"x" * MEBIBYTE)
        time.sleep(0.001)
    return len(taken)


def _log(number: float) -> int:
    logging.getLogger("mlflow").error("line %d,\nof two", number)
    return os.getpid()


_ACTIONS: dict[str, Callable[[float], object]] = {
    "pid": lambda _: os.getpid(),
    "wait": _wait,
    "compute": _compute,
    "take": _take,
    "take-at-once": lambda mebibytes: len(bytearray(int(mebibytes) * MEBIBYTE)),
    "answer": lambda mebibytes: "x" * int(mebibytes * MEBIBYTE),
    "exit": lambda code: os._exit(int(code)),
    "crash": lambda _: os.kill(os.getpid(), signal.SIGSEGV),
    "log": _log,
    "environment": lambda _: sorted(os.environ),
}
