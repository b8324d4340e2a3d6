"""Which code may run on this schema: what lets two versions serve side by side."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hokusai_schema",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("oldest_code", sa.String(32), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("hokusai_schema")
