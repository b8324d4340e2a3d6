"""Backup and restore: the databases and the artifacts of one installation, in a directory.

::

    DIR/manifest.json     written last: without it this is no backup
        hokusai/          our database: a SQLite file, or a file for each table
        mlflow/           MLflow's, likewise, where this server keeps it
        artifacts.jsonl   every artifact that the ledger knew, with its SHA-256
        artifacts/        the files, in the layout of a local artifact store

Both databases are read first, MLflow's before ours, and the files after them: whatever a row names
is in the store by then. So the server may go on serving while a backup is made.
"""

from hokusai.backup.manifest import Manifest
from hokusai.backup.restoring import check, restore
from hokusai.backup.saving import back_up

__all__ = ["Manifest", "back_up", "check", "restore"]
