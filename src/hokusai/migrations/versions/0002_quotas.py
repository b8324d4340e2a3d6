"""Quotas of workspaces, what each uses now, and workspaces that were deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_QUOTAS = ("quota_bytes", "quota_files", "quota_models", "quota_requests_per_hour")


def upgrade() -> None:
    for name in _QUOTAS:
        op.add_column("hokusai_workspaces", sa.Column(name, sa.BigInteger))
    op.add_column("hokusai_workspaces", sa.Column("deleted_at", _TIME))
    op.create_table(
        "hokusai_use",
        sa.Column("workspace", sa.String(63), primary_key=True),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("files", sa.BigInteger, nullable=False),
        sa.Column("models", sa.BigInteger, nullable=False),
        sa.Column("models_counted_at", _TIME),
    )
    op.create_table(
        "hokusai_pending",
        sa.Column("workspace", sa.String(63), primary_key=True),
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("files", sa.BigInteger, nullable=False),
        sa.Column("until", _TIME, nullable=False),
    )
    op.create_table(
        "hokusai_models",
        sa.Column("workspace", sa.String(63), primary_key=True),
        sa.Column("name", sa.String(256), primary_key=True),
        sa.Column("claimed_at", _TIME, nullable=False),
    )
    # Models are in MLflow's tables, maybe elsewhere: their first reconciliation counts them.
    op.execute(
        "INSERT INTO hokusai_use (workspace, bytes, files, models)"
        " SELECT workspace, SUM(size), COUNT(*), 0 FROM hokusai_artifacts GROUP BY workspace"
    )


def downgrade() -> None:
    for table in ("models", "pending", "use"):
        op.drop_table(f"hokusai_{table}")
    for name in (*_QUOTAS, "deleted_at"):
        op.drop_column("hokusai_workspaces", name)
