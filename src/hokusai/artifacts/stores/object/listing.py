"""What is directly in a directory of a flat namespace, a page at a time.

Not obstore's ``list_with_delimiter``, which gathers all pages before it returns the first. All keys
below the directory are walked in their order (by bytes: those of a subdirectory are neighbours), and
a subdirectory that fills a whole page is jumped over.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import obstore
from obstore.store import MemoryStore, S3Store

from hokusai.artifacts.store import PAGE, Entry

if TYPE_CHECKING:
    from obstore import ListStream, ObjectMeta

#: Sorts after what a directory has in it, but for names that begin with it.
_LAST = "\U0010ffff"

Keys = Callable[["ListStream[Sequence[ObjectMeta]]"], Awaitable["Sequence[ObjectMeta]"]]


class Listing:
    """One walk. ``following`` takes the next page from a stream; empty at the end."""

    def __init__(self, store: MemoryStore | S3Store, directory: str, *, hidden: str, following: Keys) -> None:
        self._store = store
        self._directory = directory
        self._prefix = f"{directory}/" if directory else ""
        self._hidden = "" if directory else hidden
        self._following = following
        self._inside = ""
        self._jumped = ""

    async def pages(self) -> AsyncGenerator[Sequence[Entry], None]:
        offset: str | None = None
        while True:
            keys = obstore.list(self._store, self._directory or None, offset=offset, chunk_size=PAGE)
            while page := await self._following(keys):
                if entries := [entry for one in page if (entry := self._entry(one))]:
                    yield entries
                elif len(page) == PAGE and self._jumped != self._inside:
                    self._jumped = self._inside
                    offset = f"{self._prefix}{self._inside}/{_LAST}"
                    break
            else:
                return

    def _entry(self, one: ObjectMeta) -> Entry | None:
        """None for a further key of the subdirectory that the last one was in."""
        name, below, _ = one["path"].removeprefix(self._prefix).partition("/")
        if not below:
            return Entry(name, one["size"])
        if name == self._inside:
            return None
        self._inside = name
        return None if name == self._hidden else Entry(name, None)
