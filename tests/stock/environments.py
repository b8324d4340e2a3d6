"""Environments of their own for stock MLflow clients, made once and kept in ``.cache``."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
REQUIREMENTS = ROOT / "requirements"
PLACE = ROOT / ".cache" / "clients"
#: The pins were resolved for it: the oldest client's packages have no wheels for newer ones.
PYTHON = (3, 11)


@dataclass(frozen=True)
class Environment:
    """A virtual environment with one version of MLflow and scikit-learn in it."""

    path: Path

    def program(self, name: str) -> str:
        return str(self.path / "bin" / name)


def environment(version: str) -> Environment:
    """The environment of that MLflow version, made if need be. Skips loudly where it cannot be."""
    if sys.version_info[:2] != PYTHON:
        pytest.skip(f"the stock clients are pinned for Python {PYTHON[0]}.{PYTHON[1]}, and this is {sys.version[:4]}")
    pins = REQUIREMENTS / f"mlflow-{version}.txt"
    made = PLACE / f"{version}-{hashlib.sha256(pins.read_bytes()).hexdigest()[:8]}"
    PLACE.mkdir(parents=True, exist_ok=True)
    with (PLACE / f"{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made / ".ready").exists():
            uv = str(Path(sys.executable).with_name("uv"))
            quiet = {"check": True, "env": {**os.environ, "UV_NO_PROGRESS": "1"}, "timeout": 600}
            subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(made)], **quiet)
            install = [uv, "pip", "sync", "--quiet", "--python", str(made / "bin" / "python"), "--require-hashes"]
            subprocess.run([*install, str(pins)], **quiet)
            (made / ".ready").touch()
    return Environment(made)
