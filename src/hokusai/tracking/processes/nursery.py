"""The process that has MLflow loaded and forks MLflow processes: ``python -m hokusai.tracking.processes.nursery FD``.

``FD`` is its end of the control socket (``SOCK_SEQPACKET``, one JSON document a message). The first message it gets
holds its settings; it answers ``{"ready": true, "routes": […]}`` when MLflow is loaded, or ``{"error": …}``. Then:

========================================  ===========================================================
``{"fork": true}`` and a file descriptor  forks a process that serves on it; ``{"forked": PID}``
``{"kill": PID}``                         kills that process, if it is still one of its own
(a process ended)                         ``{"ended": PID, "status": …}``, as ``subprocess`` counts
(the socket closes)                       ends, and every process with it
========================================  ===========================================================
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import pkgutil
import resource
import select
import signal
import socket
import sys
from typing import Any

from hokusai import errors
from hokusai.tracking.processes import serving
from hokusai.tracking.processes.wsgi import WsgiApp

log = logging.getLogger("hokusai.tracking")

_MESSAGE_BYTES = 1 << 20
_PR_SET_PDEATHSIG = 1


class Nursery:
    """Forks on demand. It has one thread, so that a fork copies nothing half-done."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: set[int] = set()
        self._app: WsgiApp | None = None
        self._settings: dict[str, Any] = {}

    def run(self) -> None:
        if (first := self._receive()) is None:
            return
        self._settings = first[0]
        try:
            load = pkgutil.resolve_name(self._settings["app"])
            self._app, routes = load(self._settings["database_url"])
        except errors.HokusaiError as error:
            self._send({"error": {"code": error.code, "facts": {k: str(v) for k, v in error.facts.items()}}})
            return
        self._send({"ready": True, "routes": routes})
        ended, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        control = self._control.fileno()
        while True:
            readable, _, _ = select.select([control, ended], [], [])
            if ended in readable:
                os.read(ended, 4096)
                self._reap()
            if control in readable:
                if (message := self._receive()) is None:
                    return
                self._act(*message)

    def _act(self, message: dict[str, Any], descriptor: int | None) -> None:
        if "fork" in message and descriptor is not None:
            self._fork(descriptor)
        elif message.get("kill") in self._children:
            os.kill(message["kill"], signal.SIGKILL)

    def _fork(self, descriptor: int) -> None:
        if pid := os.fork():
            os.close(descriptor)
            self._children.add(pid)
            self._send({"forked": pid})
            return
        code = 1
        try:
            self._control.close()
            end_with_parent()
            _bound_memory(self._settings["memory_bytes"])
            assert self._app is not None
            with socket.socket(fileno=descriptor) as connection:
                serving.serve(self._app, connection, max_answer_bytes=self._settings["max_answer_bytes"])
            code = 0
        finally:
            os._exit(code)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self._children.discard(pid)
            self._send({"ended": pid, "status": os.waitstatus_to_exitcode(status)})

    def _receive(self) -> tuple[dict[str, Any], int | None] | None:
        data, descriptors, _, _ = socket.recv_fds(self._control, _MESSAGE_BYTES, 1)
        return (json.loads(data), descriptors[0] if descriptors else None) if data else None

    def _send(self, message: dict[str, Any]) -> None:
        self._control.send(json.dumps(message).encode())


def end_with_parent() -> None:
    """This process is killed when its parent ends, however that ends (Linux; elsewhere its socket tells it)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _bound_memory(growth: int) -> None:
    """What the kernel refuses: twice what the gateway's watch allows, in case that is too late."""
    if sys.platform != "linux":
        return
    with open("/proc/self/status") as status:  # noqa: PTH123 - after a fork, the less is done the better
        data = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData:"))
    resource.setrlimit(resource.RLIMIT_DATA, (data + 2 * growth, data + 2 * growth))


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # for the gateway, which closes the socket when it has drained
        signal.signal(number, signal.SIG_IGN)
    end_with_parent()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with socket.socket(fileno=int(sys.argv[1])) as control:
        Nursery(control).run()


if __name__ == "__main__":
    main()
