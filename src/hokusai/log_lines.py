"""Lines of the log, as text or JSON, with API keys masked: the same for the server and for the processes it starts."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

from hokusai.apikey import masked

#: What a line has that is about a request (``gateway/audit.py``), by the attribute of its record.
_FACTS = ("request_id", "method", "route", "status", "code", "key_id", "workspace", "ms")
_MAX_MESSAGE = 8192  # characters
_MAX_KINDS = 500
#: The logger of requests that were answered. What of them strangers can cause in any number is merged before.
ACCESS = "hokusai.access"


class MaskingFormatter(logging.Formatter):
    """A line of text for each record, with API keys masked: it may quote what a client sent."""

    def __init__(self, form: str = "%(asctime)s %(levelname)s %(name)s: %(message)s") -> None:
        super().__init__(form)

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII: nothing that is logged can begin another line, or a terminal's command."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": masked(record.getMessage())[:_MAX_MESSAGE],
        }
        line |= {name: getattr(record, name) for name in _FACTS if getattr(record, name, None) is not None}
        if record.exc_info:
            line["exception"] = masked(self.formatException(record.exc_info))[-_MAX_MESSAGE:]
        return masked(json.dumps(line, default=str))


@dataclass(slots=True)
class _Window:
    ends: float
    lines: int = 0
    left_out: int = 0


class BoundedHandler(logging.StreamHandler[TextIO]):
    """Writes at most ``lines`` lines a minute of one kind, and then how many more there were.

    Strangers can cause lines in any number: by malformed requests, by too many connections. Lines of one kind have the
    same logger, level and text before values are filled in. Past 500 kinds, all others of a logger and level are one.
    """

    def __init__(self, stream: TextIO, *, lines: int = 50, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._lines = lines
        self._clock = clock
        self._windows: dict[tuple[str, int, str], _Window] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == ACCESS or not logging.DEBUG < record.levelno < logging.CRITICAL:
            super().emit(record)
            return
        now = self._clock()
        self._report(now)
        kind = (record.name, record.levelno, str(record.msg)[:200])
        if kind not in self._windows and len(self._windows) >= _MAX_KINDS:
            kind = (record.name, record.levelno, "")
        window = self._windows.setdefault(kind, _Window(now + 60))
        window.lines += 1
        if window.lines > self._lines:
            window.left_out += 1
        else:
            super().emit(record)

    def close(self) -> None:
        self._report(float("inf"))
        super().close()

    def _report(self, now: float) -> None:
        """How many lines were left out in the minutes that have ended."""
        for kind in [kind for kind, window in self._windows.items() if window.ends <= now]:
            window = self._windows.pop(kind)
            if window.left_out:
                name, level, text = kind
                told = f"{window.left_out} more lines like this were left out within a minute: {text}"
                super().emit(logging.LogRecord(name, level, "", 0, told, None, None))


def configure(level: str, *, as_json: bool) -> None:
    """Send every logger's lines to stderr, in one form: also those of libraries that have handlers of their own."""
    handler = BoundedHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else MaskingFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(as_json)
