"""The first tables: workspaces, keys, usage, artifacts, audit."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _auth()
    _artifacts()
    _audit()


def downgrade() -> None:
    for table in ("audit", "artifacts", "installation", "usage", "keys", "workspaces"):
        op.drop_table(f"hokusai_{table}")


def _auth() -> None:
    op.create_table(
        "hokusai_workspaces",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("suspended_at", _TIME),
    )
    op.create_table(
        "hokusai_keys",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("hint", sa.String(16), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("workspace", sa.String(63), sa.ForeignKey("hokusai_workspaces.name")),
        sa.Column("user_id", sa.String(255), nullable=False),
        sa.Column("permissions", sa.Text, nullable=False),
        sa.Column("service_id", sa.String(63), nullable=False),
        sa.Column("environment", sa.String(8), nullable=False),
        sa.Column("rate_limit_per_hour", sa.Integer),
        sa.Column("allow_ips", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("created_by", sa.String(32), nullable=False),
        sa.Column("expires_at", _TIME),
        sa.Column("revoked_at", _TIME),
        sa.Column("rotated_to", sa.String(32)),
    )
    op.create_index("ix_hokusai_keys_digest", "hokusai_keys", ["digest"], unique=True)
    op.create_index("ix_hokusai_keys_workspace_created_at", "hokusai_keys", ["workspace", "created_at", "id"])
    op.create_table(
        "hokusai_usage",
        sa.Column("key_id", sa.String(32), primary_key=True),
        sa.Column("hour", _TIME, primary_key=True),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("refused", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "hokusai_installation",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("pepper_fingerprint", sa.String(64), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
    )


def _artifacts() -> None:
    op.create_table(
        "hokusai_artifacts",
        sa.Column("workspace", sa.String(63), primary_key=True),
        sa.Column("path", sa.String(1024), primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.CHAR(64), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("key_id", sa.String(32), nullable=False),
    )


def _audit() -> None:
    op.create_table(
        "hokusai_audit",
        # SQLite counts up INTEGER PRIMARY KEY alone.
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("request_id", sa.String(32), nullable=False),
        sa.Column("key_id", sa.String(32)),
        sa.Column("user_id", sa.String(255)),
        sa.Column("workspace", sa.String(63)),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("path", sa.String(1024), nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("code", sa.String(8)),
        sa.Column("permission", sa.String(64)),
        sa.Column("seconds", sa.Float, nullable=False),
    )
    op.create_index("ix_hokusai_audit_workspace_at", "hokusai_audit", ["workspace", "at"])
    op.create_index("ix_hokusai_audit_at", "hokusai_audit", ["at"])
