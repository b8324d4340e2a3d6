"""Reusable memory for bytes in transit."""

from __future__ import annotations


class Buffers:
    """A pool of buffers of ``size`` bytes, of which at most ``max_kept`` are kept for reuse.

    New memory costs a page fault for every 4 KiB of it, as much as copying into it. A buffer is free again
    when the last view of it is gone, wherever that was; nobody has to give it back.
    """

    def __init__(self, size: int, *, max_kept: int) -> None:
        self.size = size
        self._max_kept = max_kept
        self._kept: list[bytearray] = []

    def take(self) -> memoryview:
        """A whole buffer, with old bytes in it. It is the caller's until no view of it is left."""
        free = next((buffer for buffer in self._kept if _is_free(buffer)), None)
        if free is None:
            free = bytearray(self.size)
            if len(self._kept) < self._max_kept:
                self._kept.append(free)
        return memoryview(free)


def _is_free(buffer: bytearray) -> bool:
    """Python refuses to resize bytes that somebody has a view of: that tells whether there is one."""
    try:
        buffer.append(buffer.pop())
    except BufferError:
        return False
    return True
