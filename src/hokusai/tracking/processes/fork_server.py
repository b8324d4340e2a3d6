"""The process that has MLflow loaded and forks MLflow processes: ``python -m hokusai.tracking.processes.fork_server``.

Its standard input is its end of the control socket (``SOCK_SEQPACKET``, one JSON document a message). The first
message holds its settings; it answers ``{"routes": […]}`` when MLflow is loaded, or ``{"error": …}``. Then:

========================================  ===========================================================
``{"fork": true}`` and a file descriptor  forks a process that serves on it; ``{"forked": PID}``
``{"kill": PID}``                         kills that process, if it is still one of its own
(a process ended)                         ``{"ended": PID, "status": …}``, as ``subprocess`` counts
(the socket closes)                       ends, and every process with it
========================================  ===========================================================
"""

from __future__ import annotations

import contextlib
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

from hokusai import errors, log_lines
from hokusai.parent_process import end_with_parent
from hokusai.tracking.processes import serving
from hokusai.tracking.processes.channel import MAX_CONTROL_BYTES
from hokusai.tracking.processes.wsgi import WsgiApp


class ForkServer:
    """Forks on demand. It has one thread, so that a fork copies nothing half-done."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: set[int] = set()
        self._app: WsgiApp | None = None
        self._settings: dict[str, Any] = {}

    def run(self) -> None:
        """Returns when the control socket closes, or when MLflow could not be loaded."""
        if (first := self._receive()) is None or not self._load(first[0]):
            return
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
                    self._kill_all()
                    return
                self._act(*message)

    def _load(self, settings: dict[str, Any]) -> bool:
        self._settings = settings
        log_lines.configure(settings["log_level"], as_json=settings["log_json"])
        logging.getLogger("alembic").setLevel(logging.WARNING)
        try:
            self._app, routes = pkgutil.resolve_name(settings["app"])(settings["database_url"])
        except errors.HokusaiError as error:
            self._send({"error": {"code": error.code, "facts": error.facts}})
            return False
        self._send({"routes": routes})
        return True

    def _act(self, message: dict[str, Any], descriptor: int | None) -> None:
        if "fork" in message and descriptor is not None:
            self._fork(descriptor)
        elif message.get("kill") in self._children:
            os.kill(message["kill"], signal.SIGKILL)

    def _fork(self, descriptor: int) -> None:
        parent = os.getpid()
        if pid := os.fork():
            os.close(descriptor)
            self._children.add(pid)
            self._send({"forked": pid})
            return
        code = 1
        try:
            self._be_child(descriptor, parent)
            code = 0
        except BaseException:
            logging.getLogger("hokusai.tracking").critical("an MLflow process failed", exc_info=True)
        finally:
            os._exit(code)

    def _be_child(self, descriptor: int, parent: int) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._control.close()
        end_with_parent(lambda: os.getppid() == parent)
        _bound_memory(self._settings["memory_bytes"])
        assert self._app is not None
        with socket.socket(fileno=descriptor) as connection:
            serving.serve(self._app, connection, max_answer_bytes=self._settings["max_answer_bytes"])

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self._children.discard(pid)
            self._send({"ended": pid, "status": os.waitstatus_to_exitcode(status)})

    def _kill_all(self) -> None:
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)

    def _receive(self) -> tuple[dict[str, Any], int | None] | None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, MAX_CONTROL_BYTES, 1)
        except ConnectionError:
            return None
        return (json.loads(data), descriptors[0] if descriptors else None) if data else None

    def _send(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # the gateway is gone, which the next look at the socket shows
            self._control.send(json.dumps(message, default=str).encode())


def _is_open(control: int) -> bool:
    """Whether the gateway still has its end, even where it sent something before it closed that."""
    poll = select.poll()
    poll.register(control, 0)  # nothing but the end, which is always reported
    return not poll.poll(0)


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
    end_with_parent(lambda: _is_open(0))
    control = os.dup(0)
    with open(os.devnull) as nothing:  # noqa: PTH123 - what runs here must not read from the control socket
        os.dup2(nothing.fileno(), 0)
    with socket.socket(fileno=control) as connection:
        ForkServer(connection).run()


if __name__ == "__main__":
    main()
