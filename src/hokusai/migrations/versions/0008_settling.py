"""The names of files before they get their own; intents to store or delete an object."""

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


def downgrade() -> None:
    for column in _INTENT:
        op.drop_column("hokusai_pending", column.name)
    op.drop_column("hokusai_artifacts", "staged")
