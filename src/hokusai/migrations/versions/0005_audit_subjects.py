"""The audit trail names what each row is about, holds merged rows, and is searched by index."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0003"
branch_labels = None
depends_on = None

_TABLE = "hokusai_audit"
_INDEXES = (
    ("workspace_action_at", ("workspace", "action", "at")),
    ("key_id_at", ("key_id", "at")),
    ("user_id_at", ("user_id", "at")),
    ("subject_at", ("subject", "at")),
    ("workspace_subject_at", ("workspace", "subject", "at")),
    ("within_at", ("within", "at")),
    ("workspace_within_at", ("workspace", "within", "at")),
    ("action_at", ("action", "at")),
    ("request_id", ("request_id",)),
)


def upgrade() -> None:
    # Each may be left out: code of the schema before writes rows without them.
    op.add_column(_TABLE, sa.Column("action", sa.String(64)))
    op.add_column(_TABLE, sa.Column("subject_type", sa.String(16)))
    op.add_column(_TABLE, sa.Column("subject", sa.String(512)))
    op.add_column(_TABLE, sa.Column("within", sa.String(512)))
    op.add_column(_TABLE, sa.Column("times", sa.Integer, nullable=False, server_default=sa.text("1")))
    op.add_column(_TABLE, sa.Column("bytes", sa.BigInteger))
    op.add_column(_TABLE, sa.Column("details", sa.Text))
    for name, columns in _INDEXES:
        where = sa.text("within IS NOT NULL") if "within" in columns else None
        op.create_index(f"ix_{_TABLE}_{name}", _TABLE, list(columns), sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    for name, _ in _INDEXES:
        op.drop_index(f"ix_{_TABLE}_{name}", _TABLE)
    for name in ("action", "subject_type", "subject", "within", "times", "bytes", "details"):
        op.drop_column(_TABLE, name)
