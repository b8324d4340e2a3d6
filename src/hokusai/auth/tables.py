"""The tables of this package."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import sqlalchemy as sa

from hokusai.database import Instant, metadata
from hokusai.identity import Quota

workspaces = sa.Table(
    "hokusai_workspaces",
    metadata,
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("suspended_at", Instant),
    sa.Column("quota_bytes", sa.BigInteger),
    sa.Column("quota_files", sa.BigInteger),
    sa.Column("quota_models", sa.BigInteger),
    sa.Column("quota_requests_per_hour", sa.BigInteger),
    sa.Column("deleted_at", Instant),
    sa.Column("protected_aliases", sa.Text, nullable=False, server_default=sa.text("''")),
)

#: The column of ``workspaces`` for each field of ``identity.Quota``.
QUOTA = {field.name: workspaces.c[f"quota_{field.name}"] for field in fields(Quota)}

keys = sa.Table(
    "hokusai_keys",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    sa.Column("hint", sa.String(16), nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("workspace", sa.String(63), sa.ForeignKey("hokusai_workspaces.name")),
    sa.Column("user_id", sa.String(255), nullable=False),
    sa.Column("permissions", sa.Text, nullable=False),
    sa.Column("service_id", sa.String(63), nullable=False),
    sa.Column("environment", sa.String(8), nullable=False),
    sa.Column("rate_limit_per_hour", sa.Integer),
    sa.Column("allow_ips", sa.Text, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("created_by", sa.String(32), nullable=False),
    sa.Column("expires_at", Instant),
    sa.Column("revoked_at", Instant),
    sa.Column("rotated_to", sa.String(32)),
    # Those that the code of revision 0003 does not know, and would fail on.
    sa.Column("further_permissions", sa.Text, nullable=False, server_default=sa.text("''")),
    sa.Index("ix_hokusai_keys_digest", "digest", unique=True),
    sa.Index("ix_hokusai_keys_created_by", "created_by"),
    sa.Index("ix_hokusai_keys_workspace_created_at", "workspace", "created_at", "id"),
)

usage = sa.Table(
    "hokusai_usage",
    metadata,
    sa.Column("key_id", sa.String(32), primary_key=True),
    sa.Column("hour", Instant, primary_key=True),
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("refused", sa.BigInteger, nullable=False),
)

#: One row: the pepper with which the digests in this database were made.
installation = sa.Table(
    "hokusai_installation",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("pepper_fingerprint", sa.String(64), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
)


def quota(row: sa.Row[Any]) -> Quota:
    """From a row that has the columns of ``QUOTA``."""
    return Quota(**{name: getattr(row, column.name) for name, column in QUOTA.items()})


def protected_aliases(row: sa.Row[Any]) -> tuple[str, ...]:
    """From a row of ``workspaces``, or one joined with it where there may be none."""
    return tuple((row.protected_aliases or "").split())
