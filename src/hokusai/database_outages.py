"""Which failures of a database are outages, told by what the driver raised: its class, its SQLSTATE, its code.

An outage is over by itself, or when an operator ends it: no request can be changed so that it would work. Everything
else, such as a statement that is wrong or a row that exists, is not an outage.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Mapping

from sqlalchemy import exc

from hokusai import errors

Outage = type[errors.Unavailable]

#: PostgreSQL's SQLSTATE, or as much of its beginning as decides (PostgreSQL documentation, appendix A).
_STATES: Mapping[str, Outage] = {
    "08": errors.DatabaseDown,  # connection
    "25006": errors.DatabaseReadOnly,
    "25P03": errors.DatabaseDown,  # it ended a connection that was idle in a transaction
    "28": errors.DatabaseCredentials,
    "40001": errors.DatabaseDown,  # serialization failure
    "40P01": errors.DatabaseDown,  # deadlock
    "42P01": errors.SchemaMissing,
    "53": errors.DatabaseDown,  # memory, connections
    "53100": errors.DatabaseFull,
    "55P03": errors.DatabaseDown,  # a lock was not available in time
    "57014": errors.DatabaseDown,  # a statement took longer than its time limit
    "57P": errors.DatabaseDown,  # shutting down, starting up, crashed
    "58030": errors.DatabaseDown,  # input and output
}

#: SQLite's extended or primary result code (https://www.sqlite.org/rescode.html).
_CODES: Mapping[int, Outage] = {
    sqlite3.SQLITE_BUSY: errors.DatabaseDown,
    sqlite3.SQLITE_LOCKED: errors.DatabaseDown,
    sqlite3.SQLITE_PROTOCOL: errors.DatabaseDown,
    sqlite3.SQLITE_IOERR: errors.DatabaseDown,
    sqlite3.SQLITE_IOERR_SHMSIZE: errors.DatabaseFull,  # the index of the write-ahead log cannot grow
    sqlite3.SQLITE_FULL: errors.DatabaseFull,
    sqlite3.SQLITE_READONLY: errors.DatabaseReadOnly,
}

_SYSTEM: Mapping[int | None, Outage] = {
    errno.ENOSPC: errors.DatabaseFull,
    errno.EDQUOT: errors.DatabaseFull,
    errno.EROFS: errors.DatabaseReadOnly,
}

#: libpq gives no SQLSTATE where a connection was refused, only the server's words.
_REFUSED_LOGIN = ("authentication failed", "not permitted to log in", "no pg_hba.conf entry", "no password supplied")
#: Not over by itself: the settings name what does not exist, or ask for what the server does not offer.
_NEVER = ("does not exist", "does not support ssl", "certificate", "invalid connection option", "invalid port")


def outage(error: BaseException | None) -> Outage | None:
    """The error of ours for an outage; None for everything else."""
    match error:
        case exc.TimeoutError() | TimeoutError() | ConnectionError():  # the first: no connection of the pool was free
            return errors.DatabaseDown
        case exc.DBAPIError():
            return outage(error.orig) or (errors.DatabaseDown if error.connection_invalidated else None)
        case sqlite3.Error():
            return _of_sqlite(error)
        case OSError():
            return _SYSTEM.get(error.errno)
    return _of_postgres(error)


def outage_behind(error: BaseException | None) -> Outage | None:
    """As ``outage``, for an error that a library raised because of another one."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if found := outage(error):
            return found
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def _of_sqlite(error: sqlite3.Error) -> Outage | None:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    if code == sqlite3.SQLITE_ERROR and "no such table" in str(error):
        return errors.SchemaMissing
    return _CODES.get(code) or _CODES.get(code & 0xFF)


def _of_postgres(error: BaseException | None) -> Outage | None:
    state = getattr(error, "sqlstate", None)
    if state:
        return next((_STATES[state[:size]] for size in (5, 3, 2) if state[:size] in _STATES), None)
    if not {"OperationalError", "InterfaceError"} & {cls.__name__ for cls in type(error).__mro__}:
        return None
    said = str(error).lower()
    if any(sign in said for sign in _REFUSED_LOGIN):
        return errors.DatabaseCredentials
    return None if any(sign in said for sign in _NEVER) else errors.DatabaseDown
