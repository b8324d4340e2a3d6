"""The server's log, as the settings have it."""

from __future__ import annotations

import logging

from hokusai import log_lines
from hokusai.settings import Settings


def configure_logging(settings: Settings) -> None:
    """Lines on stderr. Requests that were answered have lines where they are JSON."""
    as_json = settings.log_format == "json"
    log_lines.configure(settings.log_level.upper(), as_json=as_json)
    logging.getLogger(log_lines.ACCESS).setLevel(logging.INFO if as_json else logging.WARNING)
    for noisy in ("alembic", "httpx2", "httpcore2", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
