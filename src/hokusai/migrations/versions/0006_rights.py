"""Rights: who made a key, permissions that older code does not know, protected aliases, names of models once used."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
#: What ``admin`` was before ``models:promote``: keys with all of it keep being able to give all of it.
_ADMIN = {
    *("runs:read", "runs:write", "models:read", "models:write", "models:delete", "artifacts:read", "artifacts:write"),
    *("artifacts:delete", "keys:read", "keys:write", "usage:read"),
}


def upgrade() -> None:
    op.create_index("ix_hokusai_keys_created_by", "hokusai_keys", ["created_by"])
    # Older code fails on a permission in ``permissions`` that it does not know.
    op.add_column(
        "hokusai_keys", sa.Column("further_permissions", sa.Text, nullable=False, server_default=sa.text("''"))
    )
    op.add_column(
        "hokusai_workspaces", sa.Column("protected_aliases", sa.Text, nullable=False, server_default=sa.text("''"))
    )
    op.create_table(
        "hokusai_model_names",
        sa.Column("workspace", sa.String(63), primary_key=True),
        sa.Column("name", sa.String(256), primary_key=True),
        sa.Column("alike", sa.CHAR(64), nullable=False),
        sa.Column("claimed_at", _TIME, nullable=False),
        sa.Column("creating", sa.Integer, nullable=False),
        sa.Column("retired_at", _TIME),
        sa.Column("retired_for", sa.String(256)),
    )
    op.create_index("ix_hokusai_model_names_alike", "hokusai_model_names", ["workspace", "alike"])
    _promote()
    # The names are in MLflow's tables, maybe elsewhere: the next model of a workspace writes them down.
    op.execute("UPDATE hokusai_use SET models_counted_at = NULL")


def _promote() -> None:
    keys = sa.table("hokusai_keys", sa.column("permissions"), sa.column("further_permissions"))
    connection = op.get_bind()
    for (held,) in connection.execute(sa.select(keys.c.permissions).distinct()).all():
        if set(held.split()) >= _ADMIN:
            more = keys.update().where(keys.c.permissions == held).values(further_permissions="models:promote")
            connection.execute(more)


def downgrade() -> None:
    op.drop_table("hokusai_model_names")
    op.drop_column("hokusai_workspaces", "protected_aliases")
    op.drop_column("hokusai_keys", "further_permissions")
    op.drop_index("ix_hokusai_keys_created_by", "hokusai_keys")
