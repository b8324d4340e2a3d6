"""MLflow's refusals and failures as our errors: its sentence where it refused, nothing internal where it failed."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

from starlette.types import Message, Scope, Send

from hokusai import errors
from hokusai.identity import REQUEST_ID

log = logging.getLogger("hokusai.tracking")

#: MLflow's codes for a name that is taken.
EXISTS = frozenset({"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS", "RESOURCE_CONFLICT"})
_MAX_ERROR_BYTES = 64 * 1024
#: What MLflow puts behind its own sentence when a statement failed: SQL, parameters, driver.
_INTERNALS = re.compile(r"\s*(?:Error:\s*)?\((?:sqlite3|psycopg\w*|builtins)\..*", re.DOTALL)
#: The class of what a driver raised, as SQLAlchemy writes it. A separate MLflow server tells no more of an outage;
#: our own MLflow processes do (``processes/met_outages.py``).
_RAISED = re.compile(r"\((?:sqlite3|psycopg\w*|pymysql|MySQLdb)(?:\.\w+)*?\.(\w+)\)\s*(.*)")
_DOWN = frozenset(
    (
        *("OperationalError", "InterfaceError", "ConnectionFailure", "AdminShutdown", "CrashShutdown", "IoError"),
        *("CannotConnectNow", "TooManyConnections", "SerializationFailure", "DeadlockDetected", "LockNotAvailable"),
    )
)
_READ_ONLY = re.compile(r"read-?only", re.IGNORECASE)
_FULL = re.compile(r"No space left on device|disk is full", re.IGNORECASE)


class ErrorTranslation:
    """A ``send`` for MLflow: passes good answers on to ``send``, and raises the others as our errors."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._status = 0
        self._error_body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            if self._status < 300:
                await self._send(message)
        elif self._status < 300:
            await self._send(message)
        else:
            self._error_body += message.get("body", b"")[: _MAX_ERROR_BYTES - len(self._error_body)]
            if not message.get("more_body", False):
                raise self._error()

    def _error(self) -> errors.HokusaiError:
        found = document(bytes(self._error_body))
        reason = _INTERNALS.sub("", str(found.get("message", ""))).strip().rstrip(".")
        code = str(found.get("error_code", ""))
        if (not reason or self._status >= 500) and (outage := _outage(str(found.get("message", "")))):
            log.error(
                "MLflow answered %s in an outage of its database: %s", self._status, bytes(self._error_body[:500])
            )
            return outage
        if self._status >= 500 or self._status < 400 or not code or not reason:
            request_id = self._scope.get(REQUEST_ID)
            log.error("request %s: MLflow answered %s: %s", request_id, self._status, bytes(self._error_body[:2000]))
            return failure(self._status)
        if code in EXISTS:
            return errors.TrackingExists(reason=reason)
        if self._status == 404:
            return errors.TrackingUnknown(reason=reason, error_code=code)
        return errors.TrackingRefused(reason=reason, error_code=code)


def _outage(message: str) -> errors.Unavailable | None:
    """What an outage of its database is to us, where MLflow's message ends in one."""
    if not (raised := _RAISED.search(message)):
        return None
    cls, said = raised.groups()
    if cls == "DiskFull" or _FULL.search(said):
        return errors.DatabaseFull()
    if cls == "ReadOnlySqlTransaction" or _READ_ONLY.search(said):
        return errors.DatabaseReadOnly()
    return errors.TrackingDown() if cls in _DOWN else None


def failure(status: int) -> errors.HokusaiError:
    """503 is temporary: MLflow answers it where its database failed (``_get_managed_session_maker``, MLflow 3.17)."""
    return errors.TrackingDown() if status == 503 else errors.TrackingFault()


def document(body: bytes) -> dict[str, Any]:
    """The JSON object in one of MLflow's answers; empty where there is none."""
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
