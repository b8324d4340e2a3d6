"""Counts the bytes of a transfer, over all its files."""

from __future__ import annotations

from collections.abc import Callable

from hokusai.client.values import OnProgress, Progress


class Meter:
    """Reports to ``progress`` how many of ``total`` bytes are done. One file at a time."""

    def __init__(self, total: int, progress: OnProgress | None) -> None:
        self._total = total
        self._progress = progress
        self._done = 0

    def of(self, file: str) -> Callable[[int], None]:
        """What to call with the number of bytes of ``file`` that are done."""
        before = self._done

        def on_bytes(done: int) -> None:
            self._done = before + done
            if self._progress:
                self._progress(Progress(file=file, done=self._done, total=self._total))

        return on_bytes
