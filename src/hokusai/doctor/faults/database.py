"""Faults of the server's database."""

from __future__ import annotations

from hokusai.doctor.faults.evidence import ANY, When, code, rule, symptom
from hokusai.doctor.faults.fault import SERVER_LOG_COMMAND, Fault

_SCHEMA_COMMAND = "psql \"$HOKUSAI_DATABASE_URL\" -c 'select * from hokusai_alembic_version'"

FAULTS = (
    Fault(
        id="database-down",
        layer="database",
        title="The database does not answer",
        cause="The server's database is down, or hangs.",
        remedy="Start it, or correct HOKUSAI_DATABASE_URL.",
        command="psql \"$HOKUSAI_DATABASE_URL\" -c 'select 1'",
        evidence=(
            *code("HK5001", confidence=85),
            rule(When("log", symptom=("log-HK6006",)), confidence=80),
        ),
        named_by_ready=True,
    ),
    Fault(
        id="database-credentials",
        layer="database",
        title="The database refuses the server's login",
        cause="The user or password is wrong, the password has characters that are not percent-encoded, or the role may not log in.",
        remedy="Correct HOKUSAI_DATABASE_URL, and percent-encode the password.",
        command="psql \"$HOKUSAI_DATABASE_URL\" -c 'select 1'",
        evidence=(
            *code("HK5004", confidence=92),
            symptom("log-password-refused", confidence=97),
        ),
        named_by_ready=True,
    ),
    Fault(
        id="migrations-missing",
        layer="database",
        title="The database lacks the server's tables",
        cause="The tables were never created in this database, or were dropped or replaced while the server was running.",
        remedy="Restart the server: it creates and updates its tables when it starts. If the tables held keys, restore a backup.",
        command=_SCHEMA_COMMAND,
        evidence=code("HK5003", confidence=92),
        named_by_ready=True,
    ),
    Fault(
        id="database-read-only",
        layer="database",
        title="The database refuses writes",
        cause="The database can be read but not written: it is a standby, its disk is full, or default_transaction_read_only is on.",
        remedy="Connect to the primary, or free disk space.",
        command="psql \"$HOKUSAI_DATABASE_URL\" -c 'show transaction_read_only'; df -h",
        evidence=(
            *code("HK5002", "HK5005", confidence=95),
            rule(When(ANY, code=("HK3003",)), When("bearer", "pass"), confidence=70),
        ),
        named_by_ready=True,
        confused_with={"tracking-fault": SERVER_LOG_COMMAND},
    ),
    Fault(
        id="schema-newer",
        layer="database",
        title="The database belongs to a newer version",
        cause="A newer version has changed the tables, and this older version cannot use them.",
        remedy="Run the newer version again, or restore the backup from before the upgrade.",
        command=_SCHEMA_COMMAND,
        evidence=code("HK6005", confidence=95),
    ),
)
