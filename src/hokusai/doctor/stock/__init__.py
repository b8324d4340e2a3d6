"""The stock MLflow client on this machine: its version, and a whole registration with it."""

from __future__ import annotations

from hokusai.doctor.stock.client import NEWEST, OLDEST, Step, is_supported, register, version

__all__ = ["NEWEST", "OLDEST", "Step", "is_supported", "register", "version"]
