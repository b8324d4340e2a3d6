"""``hokusai serve``, from the settings to the end."""

from __future__ import annotations

import asyncio
import logging
import shutil
from functools import partial

from hokusai import __version__, data_directory, setting_conflicts
from hokusai.server.listener import address, bound
from hokusai.server.logs import configure_logging
from hokusai.server.migration import prepare
from hokusai.server.process import serve
from hokusai.server.waiting import started
from hokusai.server.workers import Workers, metrics_directory
from hokusai.settings import Settings

log = logging.getLogger("hokusai")


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Waits for what is not there yet (``waiting.py``). Raises an ``errors.StartError`` where it can never start.
    """
    configure_logging(settings)
    log.info("hokusai %s starts", __version__)
    setting_conflicts.refuse(settings)
    for setting, host in setting_conflicts.unencrypted(settings):
        log.warning("requests to %s (%s) are not encrypted: %s", host, setting, settings.plaintext_reason)
    with data_directory.opened(settings.data) as lock, bound(settings.host, settings.port) as listener:
        shutil.rmtree(metrics_directory(settings), ignore_errors=True)  # of workers that were killed
        url = settings.public_url or address(listener)
        if not asyncio.run(started(partial(prepare, settings), settings, listener, url)):
            return
        if settings.workers > 1:
            Workers(settings, listener, url, lock).run()
        else:
            serve(settings, listener, url)
