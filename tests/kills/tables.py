"""What is there, read from the tables and the store themselves."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from tests.kills.journal import Cell, Value

_MLFLOW: Mapping[str, str] = {
    "run": "SELECT name, 1 FROM runs",
    "life": "SELECT run_uuid, lifecycle_stage FROM runs",
    "tag": "SELECT run_uuid, key, value FROM tags WHERE key NOT LIKE 'mlflow.%'",
    "param": "SELECT run_uuid, key, value FROM params",
    "metric": "SELECT run_uuid, key, value FROM latest_metrics",
    "model": "SELECT description, name FROM registered_models",
    "version": "SELECT m.description, v.description, 1 FROM model_versions v JOIN registered_models m "
    "ON m.workspace = v.workspace AND m.name = v.name WHERE v.current_stage != 'Deleted_Internal'",
    "vtag": "SELECT m.description, v.description, t.value FROM model_version_tags t JOIN model_versions v "
    "ON v.workspace = t.workspace AND v.name = t.name AND v.version = t.version JOIN registered_models m "
    "ON m.workspace = v.workspace AND m.name = v.name WHERE v.current_stage != 'Deleted_Internal'",
    "mtag": "SELECT m.description, t.key, t.value FROM registered_model_tags t JOIN registered_models m "
    "ON m.workspace = t.workspace AND m.name = t.name",
    "alias": "SELECT m.description, a.alias, v.description FROM registered_model_aliases a "
    "JOIN registered_models m ON m.workspace = a.workspace AND m.name = a.name LEFT JOIN model_versions v "
    "ON v.workspace = a.workspace AND v.name = a.name AND v.version = a.version",
}
_OURS: Mapping[str, str] = {
    "file": "SELECT workspace, path, sha256 FROM hokusai_artifacts",
    "keys": "SELECT name, 1 FROM hokusai_keys WHERE id NOT IN "
    "(SELECT rotated_to FROM hokusai_keys WHERE rotated_to IS NOT NULL)",
    "key": "SELECT id, CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN rotated_to IS NOT NULL THEN 'rotated' "
    "ELSE 'active' END FROM hokusai_keys",
    "successor": "SELECT id, rotated_to FROM hokusai_keys WHERE rotated_to IS NOT NULL",
    "workspace": "SELECT name, CASE WHEN deleted_at IS NOT NULL THEN 'deleted' WHEN suspended_at IS NOT NULL "
    "THEN 'suspended' ELSE 'active' END FROM hokusai_workspaces",
    "quota": "SELECT name, quota_files FROM hokusai_workspaces WHERE quota_files IS NOT NULL",
}
#: Kinds in which nothing may be that no client made.
MADE_BY_CLIENTS = {"run", "tag", "param", "metric", "model", "version", "vtag", "mtag", "alias", "file", "keys"}


class Row(NamedTuple):
    """One of the audit trail."""

    id: int
    request_id: str
    action: str | None
    subject: str | None
    workspace: str | None
    status: int
    details: dict[str, Any]

    @property
    def agent(self) -> str:
        return str(self.details.get("agent", ""))

    @property
    def outcome(self) -> str:
        return str(self.details.get("outcome", ""))


@dataclass(frozen=True)
class Tables:
    """Connections of their own to our tables and MLflow's."""

    ours: sa.Engine
    mlflow: sa.Engine

    @classmethod
    def of(cls, ours: str, mlflow: str) -> Tables:
        one = _engine(ours)
        return cls(one, one if ours == mlflow else _engine(mlflow))

    def close(self) -> None:
        self.ours.dispose()
        self.mlflow.dispose()

    def cells(self) -> dict[Cell, Value]:
        found: dict[Cell, Value] = {}
        for engine, queries in ((self.ours, _OURS), (self.mlflow, _MLFLOW)):
            with engine.connect() as connection:
                for kind, query in queries.items():
                    for *names, value in connection.execute(sa.text(query)):
                        found[(kind, *map(str, names))] = value
        return found

    def trail(self, after: int) -> list[Row]:
        query = (
            "SELECT id, request_id, action, subject, workspace, status, details FROM hokusai_audit WHERE id > :after"
        )
        with self.ours.connect() as connection:
            rows = connection.execute(sa.text(query), {"after": after})
            return [Row(*row[:6], json.loads(row.details) if row.details else {}) for row in rows]

    def files(self) -> dict[tuple[str, str], int]:
        with self.ours.connect() as connection:
            rows = connection.execute(sa.text("SELECT workspace, path, size FROM hokusai_artifacts"))
            return {(row.workspace, row.path): int(row.size) for row in rows}

    def counted(self) -> dict[str, tuple[int, int, int]]:
        """Bytes, files and names that are counted as used, for each workspace that uses something."""
        with self.ours.connect() as connection:
            rows = connection.execute(sa.text("SELECT workspace, bytes, files, names FROM hokusai_use"))
            return {row.workspace: (int(row[1]), int(row[2]), int(row[3])) for row in rows if any(row[1:])}

    def uncounted_models(self) -> Counter[str]:
        """How many registered models of each workspace are not counted. A name may be counted without a model."""
        with self.mlflow.connect() as connection:
            there = connection.execute(sa.text("SELECT workspace FROM registered_models")).scalars().all()
        with self.ours.connect() as connection:
            claimed = connection.execute(sa.text("SELECT workspace FROM hokusai_models")).scalars().all()
            counted = {row.workspace: row.models for row in connection.execute(sa.text("SELECT * FROM hokusai_use"))}
        both = Counter({name: min(number, counted[name]) for name, number in Counter(claimed).items()})
        return Counter(there) - both

    def count(self, table: str) -> int:
        with self.ours.connect() as connection:
            return int(connection.execute(sa.text(f"SELECT COUNT(*) FROM {table}")).scalar_one())

    def is_empty(self, table: str) -> bool:
        return not self.count(table)

    def age(self) -> None:
        """What nobody ended is now so old that it is settled."""
        with self.ours.begin() as connection:
            for table, column in (("hokusai_pending", "until"), ("hokusai_audit_begun", "at")):
                connection.execute(sa.text(f"UPDATE {table} SET {column} = '2020-01-01 00:00:00.000000'"))


def used(files: Mapping[tuple[str, str], int]) -> dict[str, tuple[int, int, int]]:
    """What ``Tables.counted`` should say."""
    found: Counter[tuple[str, int]] = Counter()
    for (workspace, path), size in files.items():
        for number, more in enumerate((size, 1, path.count("/") + 1)):
            found[workspace, number] += more
    return {name: (found[name, 0], found[name, 1], found[name, 2]) for name in {name for name, _ in found}}


def _engine(url: str) -> sa.Engine:
    return sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"), poolclass=sa.NullPool)


class Disk:
    """A store on a disk."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def files(self) -> dict[tuple[str, str], int]:
        base = self._root / "workspaces"
        found = {}
        for directory, _, names in os.walk(base):
            for name in names:
                path = Path(directory, name)
                workspace, _, rest = str(path.relative_to(base)).partition("/")
                found[workspace, rest] = path.stat().st_size
        return found

    def left_over(self) -> list[str]:
        """Unfinished uploads and deletions."""
        own = self._root / ".hokusai"
        return [str(path.relative_to(own)) for name in ("uploads", "trash") for path in (own / name).glob("*")]

    def empty_directories(self) -> list[tuple[str, str]]:
        """Workspace and path; those with nothing at all in them."""
        base = self._root / "workspaces"
        walk = ((Path(at).relative_to(base), names, files) for at, names, files in os.walk(base))
        return [(at.parts[0], "/".join(at.parts[1:])) for at, names, files in walk if not names + files and at.parts]


class Bucket:
    """A store in S3."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    def files(self) -> dict[tuple[str, str], int]:
        return {_place(one["Key"]): one["Size"] for one in self._objects() if one["Key"].startswith("workspaces/")}

    def left_over(self) -> list[str]:
        """Parts of uploads are left to the bucket's lifecycle rule."""
        return []

    def empty_directories(self) -> list[tuple[str, str]]:
        return []

    def _objects(self) -> Iterable[Any]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name)
        return [one for page in pages for one in page.get("Contents", [])]


def _place(key: str) -> tuple[str, str]:
    _, workspace, path = key.split("/", 2)
    return workspace, path
