"""What the answers of a separate MLflow server become: it tells of an outage only in SQLAlchemy's words."""

from __future__ import annotations

import json

import pytest

from hokusai import errors
from hokusai.tracking.error_translation import ErrorTranslation

SQL = "\n[SQL: INSERT INTO tags VALUES (%(key)s)]\n[parameters: {'key': 'disk is full'}]"


async def translated(status: int, message: str, error_code: str) -> errors.HokusaiError:
    async def send(_message: object) -> None: ...

    translation = ErrorTranslation({"type": "http"}, send)
    await translation({"type": "http.response.start", "status": status, "headers": []})
    body = json.dumps({"error_code": error_code, "message": message}).encode()
    with pytest.raises(errors.HokusaiError) as caught:
        await translation({"type": "http.response.body", "body": body})
    return caught.value


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (503, "(psycopg2.errors.AdminShutdown) terminating connection", errors.TrackingDown),
        (400, "(psycopg2.InterfaceError) connection already closed", errors.TrackingDown),
        (500, "Could not log. Error: (psycopg2.OperationalError) server closed the connection", errors.TrackingDown),
        (503, "(psycopg2.errors.DiskFull) could not extend file: No space left on device", errors.DatabaseFull),
        (503, "(sqlite3.OperationalError) database or disk is full", errors.DatabaseFull),
        (400, "(psycopg2.errors.ReadOnlySqlTransaction) cannot execute INSERT", errors.DatabaseReadOnly),
        (503, "(sqlite3.OperationalError) attempt to write a readonly database", errors.DatabaseReadOnly),
        (400, "(psycopg2.errors.UndefinedFunction) operator does not exist", errors.TrackingFault),
        (500, "list index out of range", errors.TrackingFault),
        (400, "Invalid value 'readonly (psycopg2' for parameter", errors.TrackingRefused),
    ],
)
async def test_an_outage_of_a_remote_mlflows_database(
    status: int, message: str, expected: type[errors.HokusaiError]
) -> None:
    assert type(await translated(status, message + SQL * ("psycopg2." in message), "BAD_REQUEST")) is expected
