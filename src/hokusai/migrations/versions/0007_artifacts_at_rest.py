"""Stored files that were read and found not to be the recorded ones."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("hokusai_artifacts", sa.Column("damaged", sa.String(128)))
    where = sa.text("damaged IS NOT NULL")
    op.create_index(
        "hokusai_artifacts_damaged", "hokusai_artifacts", ["workspace"], sqlite_where=where, postgresql_where=where
    )


def downgrade() -> None:
    op.drop_index("hokusai_artifacts_damaged", "hokusai_artifacts")
    op.drop_column("hokusai_artifacts", "damaged")
