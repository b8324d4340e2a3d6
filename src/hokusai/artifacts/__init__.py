"""Artifacts: MLflow's ``mlflow-artifacts`` API, streamed over an object store.

A file appears whole or not at all, and its size and SHA-256 are in the ledger when it does. Start
reading at ``store.py`` (the contract of a driver), then ``api.py`` (the ASGI app).
"""

from hokusai.artifacts.http.app import ArtifactsApp
from hokusai.artifacts.ledger import Ledger, Record
from hokusai.artifacts.path import ArtifactPath, Place
from hokusai.artifacts.store import ArtifactStore, Entry, Reader, Stat, Upload, Written
from hokusai.artifacts.stores.object.store import ObjectStore
from hokusai.artifacts.stores.posix.store import LocalStore
from hokusai.artifacts.stores.urls import store_at

__all__ = [
    "ArtifactPath",
    "ArtifactStore",
    "ArtifactsApp",
    "Entry",
    "Ledger",
    "LocalStore",
    "ObjectStore",
    "Place",
    "Reader",
    "Record",
    "Stat",
    "Upload",
    "Written",
    "store_at",
]
