"""A row of the trail that is written in the very transaction that makes its change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from hokusai.audit.entry import Entry
from hokusai.audit.table import trail

RECORDING = "hokusai.recording"


class Recording:
    """The row of one request. ``entry`` makes it, as of a request that succeeds."""

    def __init__(self, entry: Callable[[], Entry]) -> None:
        self._entry = entry
        #: Whether its transaction was committed.
        self.is_written = False

    def row(self) -> dict[str, Any]:
        return self._entry().row()


def write(connection: sa.Connection, recordings: Iterable[Recording | None]) -> None:
    """In the transaction of the changes."""
    if rows := [one.row() for one in recordings if one is not None]:
        connection.execute(trail.insert(), rows)


def recording_of(scope: Mapping[str, Any]) -> Recording | None:
    """That of the request; None where nothing records it."""
    found: Recording | None = scope.get(RECORDING)
    return found
