"""Hokusai: the front door to an MLflow model registry.

Outside teams register models with one key, one URL and the stock MLflow client. ``hokusai.Client`` is the Python SDK;
everything that it returns and raises is here or in ``hokusai.errors``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from hokusai.errors import HokusaiError

if TYPE_CHECKING:
    from hokusai.client import (
        ApiError,
        AuditRow,
        Client,
        Key,
        Model,
        ModelVersion,
        NewKey,
        Part,
        Progress,
        Readiness,
        RevokedKey,
        Usage,
        UsageHour,
    )
    from hokusai.identity import Quota, Use, Workspace

    __version__: str

__all__ = [
    "ApiError",
    "AuditRow",
    "Client",
    "HokusaiError",
    "Key",
    "Model",
    "ModelVersion",
    "NewKey",
    "Part",
    "Progress",
    "Quota",
    "Readiness",
    "RevokedKey",
    "Usage",
    "UsageHour",
    "Use",
    "Workspace",
    "__version__",
]


_IDENTITY = frozenset({"Quota", "Use", "Workspace"})


def __getattr__(name: str) -> object:
    # Imported on first use: a server process imports this package, and does not need the SDK and its HTTP library.
    if name == "__version__":
        from importlib.metadata import version

        return version("hokusai")
    if name in __all__:
        return getattr(import_module("hokusai.identity" if name in _IDENTITY else "hokusai.client"), name)
    raise AttributeError(f"module 'hokusai' has no attribute {name!r}")
