"""Child processes that end with the process that started them, however that ends."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pkgutil
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing import connection, reduction
from typing import Any

_PR_SET_PDEATHSIG = 1


def end_with_parent(lives: Callable[[], bool]) -> None:
    """The kernel kills this process when its parent ends. It ends now where ``lives`` says that the parent has ended.

    ``lives`` is asked afterwards: a parent that ended before the kernel was told is not noticed by the kernel. The
    kernel goes by the thread that started this process, which must last as long as the parent. Systems other than
    Linux cannot do this: there, the process has to notice by a pipe or a socket that its other end is closed.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if not lives():
        os._exit(1)


class Descriptor:
    """An open file of this process, as an argument of a child process: the child has it too, under another number."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _inherited, (reduction.DupFd(self.number),)


def _inherited(duplicate: Any) -> Descriptor:
    number: int = duplicate.detach()
    os.set_inheritable(number, False)  # what the child starts does not get it
    return Descriptor(number)


def child_main(parent: int, function: str, *arguments: object) -> None:
    """The target of a ``multiprocessing.Process`` that ends with ``parent``, the id of the process that starts it.

    ``function`` is named, and not passed, because finding it imports its module. That can take a second, and comes
    after the process is bound to its parent. For the same reason, ``arguments`` should not import much.
    """
    end_with_parent(lambda: os.getppid() == parent)
    threading.Thread(target=_end_when_parent_has, name="parent-process", daemon=True).start()
    pkgutil.resolve_name(function)(*arguments)


def _end_when_parent_has() -> None:
    """For systems other than Linux, and where the kernel was made to forget (``prctl(2)`` says when it does)."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)
