"""The listening socket and its URL."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
from collections.abc import Iterator

from hokusai import errors

BACKLOG = 2048


@contextlib.contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket. Raises ``errors.PortInUse`` or ``errors.SettingInvalid``."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(BACKLOG)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise errors.PortInUse(host=host, port=port, other=port + 1) from None
            setting = "HOKUSAI_PORT" if error.errno == errno.EACCES else "HOKUSAI_HOST"
            raise errors.SettingInvalid(setting=setting, reason=errors.reason_of(error)) from None
        listener.set_inheritable(True)  # worker processes serve on it
        yield listener


def address(listener: socket.socket) -> str:
    """The URL of a listening socket; with the machine's name, where it listens on every address."""
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = socket.gethostname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
