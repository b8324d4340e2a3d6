"""A process that has imported modules, and forks a child for each program it is asked to run.

Importing MLflow and the web frameworks takes seconds, and few tests are about that. ``tests.forked`` is the other
side, and starts this as ``python -I fork_server.py DESCRIPTOR MODULE…``, with the number of the listening socket.
Standard input is the leash: when it ends, every child is killed and the process ends.

One connection is one child. A client sends a JSON line (``argv``, ``environ``, ``cwd``, ``numbers``) with descriptors:
the child's standard streams, and those that it is to have under the ``numbers``. It reads two JSON lines:
``{"pid": …}``, and when the child has ended ``{"status": …}``, as ``os.waitpid`` reports it. Where a client closes its
end first, the child is killed.

It stays single-threaded, since a fork copies one thread alone. It imports nothing but the standard library of
itself: it runs in the environments of stock clients as well.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
import types
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MAX_BYTES = 1 << 20
_MAX_DESCRIPTORS = 64


@dataclass(frozen=True)
class Request:
    """A program for a child to run, and the descriptors that it has under these numbers."""

    argv: list[str]
    environ: dict[str, str]
    cwd: str
    numbers: list[int]
    descriptors: list[int]


class ForkServer:
    """Forks on request until the leash ends."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._clients: dict[int, socket.socket] = {}  # by the child's process id
        self._selector = selectors.DefaultSelector()
        self._child_ended, self._wakeup = socket.socketpair()
        self._child_ended.setblocking(False)
        self._wakeup.setblocking(False)

    def serve(self) -> Request | None:
        """Returns in each child, with what it was made for; and in the server at its end, with None."""
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for source in (sys.stdin.fileno(), self._listener, self._child_ended):
            self._selector.register(source, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                source = key.fileobj
                if source is self._listener:
                    if request := self._fork():
                        return request
                elif source is self._child_ended:
                    self._reap()
                elif isinstance(source, socket.socket):
                    self._abandon(source)
                else:
                    return self._kill_all()

    def _fork(self) -> Request | None:
        client, _ = self._listener.accept()
        request = _received(client)
        if pid := os.fork():
            for descriptor in request.descriptors:
                os.close(descriptor)
            self._clients[pid] = client
            self._selector.register(client, selectors.EVENT_READ)
            _send(client, pid=pid)
            return None
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        for held in (self._listener, self._child_ended, self._wakeup, client, *self._clients.values()):
            held.close()
        return request

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._child_ended.recv(4096)
        while self._clients:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            client = self._clients.pop(pid)
            _send(client, status=status)
            with contextlib.suppress(KeyError):
                self._selector.unregister(client)
            client.close()

    def _abandon(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        for pid, one in self._clients.items():
            if one is client:
                os.kill(pid, signal.SIGKILL)

    def _kill_all(self) -> None:
        for pid in self._clients:
            os.kill(pid, signal.SIGKILL)


def _received(client: socket.socket) -> Request:
    data, descriptors, _, _ = socket.recv_fds(client, _MAX_BYTES, _MAX_DESCRIPTORS)
    while not data.endswith(b"\n"):
        data += client.recv(_MAX_BYTES)
    fields = json.loads(data)
    fields["numbers"] = [0, 1, 2, *fields["numbers"]]
    return Request(**fields, descriptors=descriptors)


def _send(client: socket.socket, **facts: Any) -> None:
    with contextlib.suppress(OSError):  # it is gone
        client.sendall(json.dumps(facts).encode() + b"\n")


def _import(modules: Sequence[str]) -> None:
    root = str(Path(__file__).parent.parent)
    sys.path.insert(0, root)
    for name in modules:
        importlib.import_module(name)
    sys.path.remove(root)
    assert threading.active_count() == 1, threading.enumerate()
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page it looks at


def _run(request: Request) -> None:
    """Be that program: a script of Python's, or what ``python`` would run."""
    above = max(request.numbers) + 1  # where none of them is in the way of another
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, above) for descriptor in request.descriptors]
    for descriptor in request.descriptors:
        os.close(descriptor)
    for number, descriptor in zip(request.numbers, moved, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    # New ones: a stream remembers what it has found out about its descriptor.
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.chdir(request.cwd)
    os.environ.clear()
    os.environ.update(request.environ)
    if parent := os.environ.pop("FORKED_PARENT", None):  # ``tests.forked.PARENT``
        os.getppid = lambda: int(parent)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = request.argv
    if Path(sys.argv[0]).name.startswith("python"):
        del sys.argv[0]
    if sys.argv[0] == "-m":
        del sys.argv[0]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        return
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    if sys.argv[0] == "-c":
        exec(compile(sys.argv.pop(1), "<string>", "exec"), vars(main))
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")


def main(descriptor: int, modules: Sequence[str]) -> None:
    with socket.socket(fileno=descriptor) as listener:
        _import(modules)
        request = ForkServer(listener).serve()
    if request is not None:
        _run(request)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
