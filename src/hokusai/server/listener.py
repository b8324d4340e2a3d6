"""The listening socket and its URL."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import time
from collections.abc import Iterator

from hokusai import errors

BACKLOG = 2048

#: Seconds for which a port that is in use is tried again: a server that was killed a moment ago may still hold it.
_WAIT_SECONDS = 1.0


@contextlib.contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket. Raises ``errors.PortInUse`` or ``errors.SettingInvalid``."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            _bind(listener, host, port)
            listener.listen(BACKLOG)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise errors.PortInUse(host=host, port=port, other=port + 1) from None
            setting = "HOKUSAI_PORT" if error.errno == errno.EACCES else "HOKUSAI_HOST"
            raise errors.SettingInvalid(setting=setting, reason=errors.reason_of(error)) from None
        yield listener


def _bind(listener: socket.socket, host: str, port: int) -> None:
    end = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            return listener.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > end:
                raise
        time.sleep(0.02)


def address(listener: socket.socket) -> str:
    """The URL of a listening socket; with the machine's name, where it listens on every address."""
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = socket.gethostname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
