"""Backup and restore: the databases and the artifacts of one installation, in a directory.

::

    DIR/manifest.json     written last: a directory without it is not a backup
        hokusai/          our database: a SQLite file, or a file for each table
        mlflow/           MLflow's database in the same form, where this server stores it
        artifacts.jsonl   every artifact in the ledger, with its SHA-256
        artifacts/        the files, in the layout of a local artifact store

The databases are read first, MLflow's before ours, and then the files: every file that a row names is in the store by
then. So the server may keep running while a backup is made.
"""

from hokusai.backup.manifest import Manifest
from hokusai.backup.restoring import check, restore
from hokusai.backup.saving import back_up

__all__ = ["Manifest", "back_up", "check", "restore"]
