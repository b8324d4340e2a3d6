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
from functools import cache
from pathlib import Path

from scripts import interpreters
from scripts.interpreters import Interpreter

ROOT = Path(__file__).parent.parent
REQUIREMENTS = ROOT / "requirements"
PLACE = ROOT / ".cache" / "environments"
#: The newest Python that each of these runs on: 2.9.2 asks ``importlib.metadata`` in a way that ended with 3.11, and a
#: package of 2.22.5 has no wheels after 3.13.
NEWEST = {"mlflow-2.9.2": (3, 11), "mlflow-2.22.5": (3, 13)}
_UV = str(Path(sys.executable).with_name("uv"))


@dataclass(frozen=True)
class Environment:
    """A virtual environment."""

    path: Path

    def program(self, name: str) -> str:
        return str(self.path / "bin" / name)


class NoInterpreter(Exception):
    """No Python of this machine can run what was asked for; the text says which would."""


@cache
def interpreter(pins: str) -> Interpreter:
    """What ``requirements/PINS.txt`` can run on: this Python, or else the newest here that will do."""
    running = Interpreter(sys.version_info[:3], sys.executable)
    newest = NEWEST.get(pins, running.version[:2])
    if running.version[:2] <= newest:
        return running
    usable = [one for one in interpreters.found() if interpreters.OLDEST <= one.version[:2] <= newest]
    if not usable:
        oldest, latest = (".".join(map(str, version)) for version in (interpreters.OLDEST, newest))
        raise NoInterpreter(
            f"{pins} needs a Python from {oldest} to {latest}; none is on PATH or among pyenv's or uv's"
        )
    return usable[-1]


def environment(pins: str) -> Environment:
    """The environment of ``requirements/PINS.txt``, hash-checked. One process makes it, others wait.

    Raises ``NoInterpreter`` where no Python can run it.
    """
    file = REQUIREMENTS / f"{pins}.txt"
    python = interpreter(pins)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    made = PLACE / f"{pins}-{digest}-{'.'.join(map(str, python.version))}"
    PLACE.mkdir(parents=True, exist_ok=True)
    with (PLACE / f"{pins}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made / ".ready").exists():
            _uv("venv", "--clear", "--python", python.path, str(made))
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
