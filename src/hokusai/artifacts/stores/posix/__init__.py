"""Artifacts as plain files in a directory, in MLflow's layout."""

from hokusai.artifacts.stores.posix.store import LocalStore

__all__ = ["LocalStore"]
