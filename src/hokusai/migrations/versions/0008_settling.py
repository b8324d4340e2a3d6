"""The names of files before they get their own; intents to store or delete an object; changes that have begun."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_INTENT = (
    sa.Column("path", sa.String(1024)),
    sa.Column("sha256", sa.CHAR(64)),
    sa.Column("created_at", sa.DateTime(timezone=True)),
    sa.Column("key_id", sa.String(32)),
)


def upgrade() -> None:
    op.add_column("hokusai_artifacts", sa.Column("staged", sa.String(32)))
    for column in _INTENT:
        op.add_column("hokusai_pending", column)
    op.create_table(
        "hokusai_audit_begun",
        sa.Column("request_id", sa.String(32), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entry", sa.Text, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("hokusai_audit_begun")
    for column in _INTENT:
        op.drop_column("hokusai_pending", column.name)
    op.drop_column("hokusai_artifacts", "staged")
