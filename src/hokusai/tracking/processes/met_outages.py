"""Which outage of its database an MLflow process met during a request, whatever MLflow makes of it.

MLflow answers a lost connection with 503, 500 or 400, by where it was noticed: it wraps what the database raised into
errors of its own, or lets it through to Flask. So the errors are noted where SQLAlchemy raises them. A process has one
request at a time, hence one note.
"""

from __future__ import annotations

import logging

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

from hokusai.database import first_line
from hokusai.database_outages import Outage, outage

log = logging.getLogger("hokusai.tracking")

_met: Outage | None = None


def watch() -> None:
    """From now on, note the outages that any engine of this process meets."""
    if not event.contains(Engine, "handle_error", _note):
        event.listen(Engine, "handle_error", _note)


def forget() -> None:
    """A new request begins."""
    global _met
    _met = None


def met() -> Outage | None:
    """The first outage since ``forget``."""
    return _met


def _note(context: ExceptionContext) -> None:
    global _met
    if context.is_pre_ping:  # of a connection that waited in the pool; another one is made
        return
    error = context.sqlalchemy_exception or context.original_exception
    if _met is None and (found := outage(error)):
        _met = found
        log.error("MLflow's database failed: %s", first_line(error))
