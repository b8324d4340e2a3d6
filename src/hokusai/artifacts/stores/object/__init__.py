"""Artifacts as objects in a bucket (S3 and its like, through obstore)."""

from hokusai.artifacts.stores.object.store import ObjectStore

__all__ = ["ObjectStore"]
