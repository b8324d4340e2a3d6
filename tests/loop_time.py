"""How long the callbacks of an event loop keep it, in processor time of its own thread: a busy machine adds nothing."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: Kept by the loop between two looks at what else is to do.
_REPR = 300


class LoopTime:
    """The longest callback so far: its seconds, and what it was."""

    def __init__(self) -> None:
        self.most = 0.0
        self.what = ""

    def reset(self) -> None:
        self.most, self.what = 0.0, ""


@contextmanager
def measured() -> Iterator[LoopTime]:
    """Measures every callback of asyncio's own event loops on other threads than this one, while the block runs."""
    found, here, original = LoopTime(), threading.get_ident(), asyncio.Handle._run

    def run(handle: Any) -> None:
        if threading.get_ident() == here:
            original(handle)
            return
        start = time.thread_time()
        original(handle)
        took = time.thread_time() - start
        if took > found.most:
            found.most, found.what = took, repr(handle)[:_REPR]

    gc.collect()
    gc.freeze()  # as the server does: what has been imported is not looked through again
    setattr(asyncio.Handle, "_run", run)  # noqa: B010 - mypy does not let a method be replaced
    try:
        yield found
    finally:
        setattr(asyncio.Handle, "_run", original)  # noqa: B010
        gc.unfreeze()
