"""The entries of a directory in a flat namespace, a page at a time.

Why not obstore's ``list_with_delimiter``: it collects all pages before it returns the first. Here all keys below the
directory are read in their order (by bytes, so those of one subdirectory are adjacent), and the rest of a
subdirectory that fills a whole page is skipped.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import obstore
from obstore.store import MemoryStore, S3Store

from hokusai.artifacts.store import PAGE, Entry

if TYPE_CHECKING:
    from obstore import ListStream, ObjectMeta

#: Sorts after every name in a directory, except one that begins with this character.
_LAST = "\U0010ffff"

NextPage = Callable[["ListStream[Sequence[ObjectMeta]]"], Awaitable["Sequence[ObjectMeta]"]]


class Listing:
    """One listing. ``next_page`` reads the next page of a stream; it is empty at the end."""

    def __init__(self, store: MemoryStore | S3Store, directory: str, *, hidden: str, next_page: NextPage) -> None:
        self._store = store
        self._directory = directory
        self._prefix = f"{directory}/" if directory else ""
        self._hidden = "" if directory else hidden
        self._next_page = next_page
        self._inside = ""
        self._skipped = ""

    async def pages(self) -> AsyncGenerator[Sequence[Entry], None]:
        offset: str | None = None
        while True:
            keys = obstore.list(self._store, self._directory or None, offset=offset, chunk_size=PAGE)
            while page := await self._next_page(keys):
                if entries := [entry for one in page if (entry := self._entry(one))]:
                    yield entries
                elif len(page) == PAGE and self._skipped != self._inside:
                    self._skipped = self._inside
                    offset = f"{self._prefix}{self._inside}/{_LAST}"
                    break
            else:
                return

    def _entry(self, one: ObjectMeta) -> Entry | None:
        """None for another key in the same subdirectory as the one before."""
        name, below, _ = one["path"].removeprefix(self._prefix).partition("/")
        if not below:
            return Entry(name, one["size"])
        if name == self._inside:
            return None
        self._inside = name
        return None if name == self._hidden else Entry(name, None)
