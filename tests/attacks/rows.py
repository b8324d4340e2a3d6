"""What a server has stored about one tenant, read from its files: fast enough to compare after every attack."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

#: Columns by which a row belongs to a tenant, or speaks of a thing of theirs, and the word for its values.
_COLUMNS = {
    "workspace": "workspace",
    "experiment_id": "experiment",
    "run_uuid": "run",
    "run_id": "run",
    "model_id": "model",
    "source_run_id": "run",
    "source_id": "thing",
    "destination_id": "thing",
    "key_id": "key",
}
#: Tables whose rows are tenants.
_TENANTS = frozenset({"workspaces", "hokusai_workspaces"})
#: Written later than the request, or by whoever looks: asked for in other ways.
_LATER = frozenset({"hokusai_audit", "hokusai_usage", "hokusai_artifacts.key_id"})

Ids = Mapping[str, Sequence[str]]


class Tables:
    """The tables of one SQLite file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._connection: sqlite3.Connection | None = None
        self._columns: dict[str, list[str]] = {}

    def about(self, ids: Ids) -> dict[str, str]:
        """A digest for each table that has rows about the tenant."""
        found = {}
        for table, columns in self._tables().items():
            words = [(column, _COLUMNS.get(column, "workspace")) for column in columns]
            named = [(column, ids[word]) for column, word in words if ids.get(word)]
            clauses = [f'"{column}" IN ({",".join("?" * len(values))})' for column, values in named]
            if clauses:
                query = f'SELECT * FROM "{table}" WHERE {" OR ".join(clauses)}'
                rows = self._query(query, [value for _, values in named for value in values])
                found[table] = _digest(sorted(map(repr, rows)))
        return found

    def noted(self, workspace: str, since: str) -> list[tuple[str, str]]:
        """Audit rows of a workspace from an instant on, as (time, what)."""
        if "hokusai_audit" not in self._all():
            return []
        query = "SELECT at, method || ' ' || path FROM hokusai_audit WHERE workspace = ? AND at > ? ORDER BY at"
        return [(str(at), str(what)) for at, what in self._query(query, [workspace, since])]

    def has_noted(self, request_id: str) -> bool:
        """Whether the audit trail has the row of a request."""
        return bool(self._query("SELECT 1 FROM hokusai_audit WHERE request_id = ?", [request_id]))

    def close(self) -> None:
        if self._connection:
            self._connection.close()

    def _tables(self) -> dict[str, list[str]]:
        return {table: columns for table, columns in self._all().items() if columns and table not in _LATER}

    def _all(self) -> dict[str, list[str]]:
        if not self._columns:
            for (table,) in self._query("SELECT name FROM sqlite_master WHERE type = 'table'", []):
                columns = [row[1] for row in self._query(f'PRAGMA table_info("{table}")', [])]
                known = [name for name in columns if name in _COLUMNS and f"{table}.{name}" not in _LATER]
                self._columns[table] = ["name"] if table in _TENANTS else known
        return self._columns

    def _query(self, query: str, values: Sequence[str]) -> list[tuple[object, ...]]:
        if self._connection is None:
            self._connection = sqlite3.connect(f"file:{self._file}?mode=ro", uri=True, timeout=20)
        return self._connection.execute(query, values).fetchall()


def files(directory: Path) -> dict[str, str]:
    """Every file under a directory, with the digest of its content."""
    if not directory.exists():
        return {}
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def _digest(rows: Sequence[str]) -> str:
    return f"{len(rows)} rows {hashlib.sha256(chr(10).join(rows).encode()).hexdigest()[:16]}"
