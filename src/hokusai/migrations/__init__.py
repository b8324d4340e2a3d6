"""One Alembic history for our own tables (never MLflow's).

Two versions run side by side during a rolling update, and a release may be rolled back. So a migration only adds:
tables, and columns that are nullable or have a default in the database. What is no longer read is removed one release
later, and ``database.OLDEST_CODE`` is raised in the same migration.
"""
