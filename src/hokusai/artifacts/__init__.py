"""Artifacts: MLflow's ``mlflow-artifacts`` API, streamed to and from a store.

A file becomes visible whole or not at all, and at that moment its size and SHA-256 are in the ledger.

- ``store.py`` is the contract of a driver; ``stores/`` has the drivers: a POSIX directory and an object store.
- ``ledger.py`` records each file (``record.py``); ``upload_quota.py`` decides which uploads may begin;
  ``resumable.py`` keeps interrupted ones; ``group_commit.py`` makes files visible, many at a time.
- ``reconciliation.py`` compares ledger and store; ``background_check.py`` does it now and then.
- ``http/`` is the API over ASGI. Start there with ``app.py``.
"""

from hokusai.artifacts.background_check import BackgroundCheck
from hokusai.artifacts.http.app import ArtifactsApp
from hokusai.artifacts.ledger import Ledger
from hokusai.artifacts.path import ArtifactPath, Place
from hokusai.artifacts.reconciliation import REPAIRABLE, Finding, Kind, Progress, Reconciliation
from hokusai.artifacts.record import Record
from hokusai.artifacts.store import ArtifactStore, Entry, Reader, Stat, Upload, Written
from hokusai.artifacts.stores.object.store import ObjectStore
from hokusai.artifacts.stores.posix.store import LocalStore
from hokusai.artifacts.stores.urls import store_at

__all__ = [
    "REPAIRABLE",
    "ArtifactPath",
    "ArtifactStore",
    "ArtifactsApp",
    "BackgroundCheck",
    "Entry",
    "Finding",
    "Kind",
    "Ledger",
    "LocalStore",
    "ObjectStore",
    "Place",
    "Progress",
    "Reader",
    "Reconciliation",
    "Record",
    "Stat",
    "Upload",
    "Written",
    "store_at",
]
