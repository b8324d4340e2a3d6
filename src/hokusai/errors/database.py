"""Our own database (HK50)."""

from __future__ import annotations

from hokusai.errors.base import Unavailable


class DatabaseDown(
    Unavailable,
    code="HK5001",
    message="database: the database does not answer.",
    remedy="Send the request again in a moment. Operator: check /ready and HOKUSAI_DATABASE_URL.",
): ...


class DatabaseReadOnly(
    Unavailable,
    code="HK5002",
    message="database: the database does not accept writes.",
    remedy="Nothing was changed. Operator: it is a standby, or read-only; connect to the primary, or make it writable.",
): ...


class SchemaMissing(
    Unavailable,
    code="HK5003",
    message="database: this server's tables do not exist.",
    remedy="Nothing was changed. Operator: restart the server, which creates them, or restore the backup.",
):
    """They existed when the server started: they were dropped, or another database took the place of this one."""


class DatabaseCredentials(
    Unavailable,
    code="HK5004",
    message="database: the database refuses this server's login.",
    remedy="Nothing was changed. Operator: check the user and the password in HOKUSAI_DATABASE_URL.",
):
    """The password was changed, the role may no longer log in, or pg_hba.conf does not admit this server's address."""


class DatabaseFull(
    Unavailable,
    code="HK5005",
    retry_after=60,
    message="database: the disk of the database is full.",
    remedy="Nothing was changed. Operator: free or add space where the database keeps its files.",
):
    """Reading may still work. It is over by itself as soon as there is space."""


class OutcomeUnknown(
    Unavailable,
    code="HK5006",
    message="database: the connection failed in the middle of this change, so it is not known yet whether it was made.",
    remedy="It was made whole or not at all, which is settled when the database answers. Then look, or send it again.",
):
    """The file is the old one or the new one, and counted once: ``artifacts/settling.py``."""
