"""The CPythons of this machine that can make virtual environments: on ``PATH``, of pyenv and of uv.

``python3 scripts/interpreters.py`` prints the path of each version from 3.11 on. Needs the standard library alone.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OLDEST = (3, 11)
_NAME = re.compile(r"python3(\.\d+)?")
#: Fails without ``ensurepip``, which Debian packages apart. A build without the GIL has flags, and few wheels.
_PROBE = """
import ensurepip, platform, sys, venv
assert platform.python_implementation() == "CPython" and not sys.abiflags
print(*sys.version_info[:3])
"""


@dataclass(frozen=True, order=True)
class Interpreter:
    """One CPython. ``version`` is (major, minor, micro)."""

    version: tuple[int, ...]
    path: str


def found() -> list[Interpreter]:
    """One for each version, the oldest version first."""
    versions: dict[tuple[int, ...], Interpreter] = {}
    for program in dict.fromkeys(_programs()):
        if version := _version(program):
            versions.setdefault(version, Interpreter(version, str(program)))
    return sorted(versions.values())


def _version(program: Path) -> tuple[int, ...]:
    """Empty if it is not one of those."""
    try:
        done = subprocess.run([program, "-c", _PROBE], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(map(int, done.stdout.split())) if done.returncode == 0 else ()


def _programs() -> Iterator[Path]:
    """Each program that could be one, without symbolic links: not those of virtual environments, then."""
    for directory in _directories():
        if directory.is_dir():
            yield from (path.resolve() for path in sorted(directory.iterdir()) if _NAME.fullmatch(path.name))


def _directories() -> Iterator[Path]:
    pyenv = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser()
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or "~/.local/share/uv/python").expanduser()
    path = map(Path, filter(None, os.environ.get("PATH", "").split(os.pathsep)))
    yield from (directory for directory in path if directory != pyenv / "shims")  # which start those of "versions"
    yield from sorted(pyenv.glob("versions/*/bin"))
    yield from sorted(uv.glob("*/bin"))


if __name__ == "__main__":
    for interpreter in found():
        if interpreter.version >= OLDEST:
            print(interpreter.path)
