"""A table without rows: /ready writes there, to find out whether the database takes writes."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table("hokusai_probe", sa.Column("filler", sa.Text, nullable=False))


def downgrade() -> None:
    op.drop_table("hokusai_probe")
