"""The table of the audit trail."""

from __future__ import annotations

import sqlalchemy as sa

from hokusai.database import Instant, metadata

#: Characters of a path, a subject, and the text of the details.
MAX_PATH, MAX_SUBJECT, MAX_DETAILS = 1024, 512, 8192

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
    sa.Index("ix_hokusai_audit_within_at", "within", "at"),
    sa.Index("ix_hokusai_audit_action_at", "action", "at"),
    sa.Index("ix_hokusai_audit_request_id", "request_id"),
)
