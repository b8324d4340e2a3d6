"""Our own database (HK50)."""

from __future__ import annotations

from hokusai.errors.base import Unavailable


class DatabaseDown(
    Unavailable,
    code="HK5001",
    message="database: the database does not answer.",
    remedy="Send the request again in a moment. Operator: see /ready and HOKUSAI_DATABASE_URL.",
): ...


class DatabaseReadOnly(
    Unavailable,
    code="HK5002",
    message="database: the database takes no writes.",
    remedy="Nothing was changed. Operator: it is read-only or its disk is full.",
): ...


class SchemaMissing(
    Unavailable,
    code="HK5003",
    message="database: this server's tables are not there.",
    remedy="Nothing was changed. Operator: restart the server, which makes them, or restore the backup.",
):
    """The server started with its tables and they are gone: dropped, or another database stands in its place."""


class DatabaseCredentials(
    Unavailable,
    code="HK5004",
    message="database: it refuses this server's login.",
    remedy="Nothing was changed. Operator: see the user and the password in HOKUSAI_DATABASE_URL.",
):
    """The password was changed, the role may not log in any more, or the server lets nobody in from here."""
