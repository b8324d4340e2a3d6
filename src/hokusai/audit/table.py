"""The tables of the audit trail."""

from __future__ import annotations

import sqlalchemy as sa

from hokusai.database import Instant, metadata

#: Characters of a path, a subject, and the text of the details.
MAX_PATH, MAX_SUBJECT, MAX_DETAILS = 1024, 512, 8192

#: Changes that have begun, and whose outcome is not in the trail yet: see ``changes``. ``entry`` is in JSON.
begun = sa.Table(
    "hokusai_audit_begun",
    metadata,
    sa.Column("request_id", sa.String(32), primary_key=True),
    sa.Column("at", Instant, nullable=False),
    sa.Column("entry", sa.Text, nullable=False),
)

#: Most rows have no such value, and are not in the indexes for it.
_HAS_WITHIN = sa.text("within IS NOT NULL")

trail = sa.Table(
    "hokusai_audit",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("at", Instant, nullable=False),
    sa.Column("request_id", sa.String(32), nullable=False),
    sa.Column("key_id", sa.String(32)),
    sa.Column("user_id", sa.String(255)),
    sa.Column("workspace", sa.String(63)),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("method", sa.String(16), nullable=False),
    sa.Column("path", sa.String(MAX_PATH), nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("code", sa.String(8)),
    sa.Column("permission", sa.String(64)),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("action", sa.String(64)),
    sa.Column("subject_type", sa.String(16)),
    sa.Column("subject", sa.String(MAX_SUBJECT)),
    sa.Column("within", sa.String(MAX_SUBJECT)),
    sa.Column("times", sa.Integer, nullable=False, server_default=sa.text("1")),
    sa.Column("bytes", sa.BigInteger),
    sa.Column("details", sa.Text),
    sa.Index("ix_hokusai_audit_at", "at"),
    sa.Index("ix_hokusai_audit_workspace_at", "workspace", "at"),
    sa.Index("ix_hokusai_audit_workspace_action_at", "workspace", "action", "at"),
    sa.Index("ix_hokusai_audit_key_id_at", "key_id", "at"),
    sa.Index("ix_hokusai_audit_user_id_at", "user_id", "at"),
    sa.Index("ix_hokusai_audit_subject_at", "subject", "at"),
    sa.Index("ix_hokusai_audit_workspace_subject_at", "workspace", "subject", "at"),
    *(
        sa.Index(f"ix_hokusai_audit_{name}", *columns, sqlite_where=_HAS_WITHIN, postgresql_where=_HAS_WITHIN)
        for name, columns in (("within_at", ("within", "at")), ("workspace_within_at", ("workspace", "within", "at")))
    ),
    sa.Index("ix_hokusai_audit_action_at", "action", "at"),
    sa.Index("ix_hokusai_audit_request_id", "request_id"),
)
