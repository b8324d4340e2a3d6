"""Stored files that do not fit their records; what requests store in MLflow; the names in the paths of files."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_COUNTS = (("hokusai_use", "tracking_bytes"), ("hokusai_use", "names"), ("hokusai_pending", "names"))


def upgrade() -> None:
    op.add_column("hokusai_artifacts", sa.Column("damaged", sa.String(128)))
    where = sa.text("damaged IS NOT NULL")
    op.create_index(
        "hokusai_artifacts_damaged", "hokusai_artifacts", ["workspace"], sqlite_where=where, postgresql_where=where
    )
    for table, name in _COUNTS:
        op.add_column(table, sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))
    op.execute(
        "UPDATE hokusai_use SET names = (SELECT COALESCE(SUM(LENGTH(path) - LENGTH(REPLACE(path, '/', '')) + 1), 0)"
        " FROM hokusai_artifacts WHERE hokusai_artifacts.workspace = hokusai_use.workspace)"
    )


def downgrade() -> None:
    for table, name in _COUNTS:
        op.drop_column(table, name)
    op.drop_index("hokusai_artifacts_damaged", "hokusai_artifacts")
    op.drop_column("hokusai_artifacts", "damaged")
