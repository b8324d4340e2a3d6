"""One Alembic history for our own tables (never MLflow's)."""
