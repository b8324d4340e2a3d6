"""The server's log: lines on stderr, with API keys masked."""

from __future__ import annotations

import logging
import sys

from hokusai.apikey import masked
from hokusai.settings import Settings


class MaskingFormatter(logging.Formatter):
    """Masks API keys: a log line may quote what a client sent."""

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


def configure_logging(settings: Settings) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(MaskingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    for noisy in ("alembic", "httpx2", "httpcore2", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
