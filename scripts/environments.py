"""Virtual environments from pinned requirements, created once and kept in ``.cache``.

For the stock clients of the tests, and for the servers of the benchmarks.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
REQUIREMENTS = ROOT / "requirements"
PLACE = ROOT / ".cache" / "environments"
#: What ``mlflow-*.txt`` was resolved for: the oldest client's packages have no wheels for newer ones.
PYTHON = (3, 11)
_UV = str(Path(sys.executable).with_name("uv"))


@dataclass(frozen=True)
class Environment:
    """A virtual environment."""

    path: Path

    def program(self, name: str) -> str:
        return str(self.path / "bin" / name)


def environment(pins: str) -> Environment:
    """The environment of ``requirements/PINS.txt``, hash-checked. One process makes it, others wait."""
    file = REQUIREMENTS / f"{pins}.txt"
    made = PLACE / f"{pins}-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}"
    PLACE.mkdir(parents=True, exist_ok=True)
    with (PLACE / f"{pins}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made / ".ready").exists():
            _uv("venv", "--clear", "--python", sys.executable, str(made))
            _uv("pip", "sync", "--python", str(made / "bin" / "python"), "--require-hashes", str(file))
            (made / ".ready").touch()
    return Environment(made)


def latest(*requirements: str) -> Environment:
    """An environment resolved now, without pins: for recording, never for a test."""
    name = hashlib.sha256(" ".join(requirements).encode()).hexdigest()[:12]
    made = PLACE / f"latest-{name}"
    if not (made / ".ready").exists():
        PLACE.mkdir(parents=True, exist_ok=True)
        _uv("venv", "--clear", "--python", sys.executable, str(made))
        _uv("pip", "install", "--python", str(made / "bin" / "python"), *requirements, "setuptools<81")
        (made / ".ready").touch()
    return Environment(made)


def install_product(into: Environment) -> None:
    """Put this tree's Hokusai, as it is now, into an environment that has what it needs."""
    python = str(into.path / "bin" / "python")
    _uv("pip", "install", "--python", python, "--no-deps", "--reinstall", "--refresh-package", "hokusai", str(ROOT))


def _uv(*arguments: str) -> None:
    environ = {**os.environ, "UV_NO_PROGRESS": "1"}
    subprocess.run([_UV, *arguments, "--quiet"], check=True, env=environ, timeout=600)
