"""Memory for bytes on their way, used again and again."""

from __future__ import annotations


class Buffers:
    """Buffers of ``size`` bytes; at most ``most`` of them are kept for the next who asks.

    New memory costs a page fault for every 4 KiB of it: as much as copying into it. A buffer is free
    again when the last view of it is gone, wherever that was; nobody has to give it back.
    """

    def __init__(self, size: int, *, most: int) -> None:
        self.size = size
        self._most = most
        self._kept: list[bytearray] = []

    def take(self) -> memoryview:
        """A whole buffer, whatever was in it before. It is the caller's until no view of it is left."""
        free = next((buffer for buffer in self._kept if _is_free(buffer)), None)
        if free is None:
            free = bytearray(self.size)
            if len(self._kept) < self._most:
                self._kept.append(free)
        return memoryview(free)


def _is_free(buffer: bytearray) -> bool:
    """Bytes that somebody has a view of cannot change their number; this is how Python says so."""
    try:
        buffer.append(buffer.pop())
    except BufferError:
        return False
    return True
