"""MLflow's tables, made once in a test run and copied: making them takes MLflow longer than a server takes to start."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from pathlib import Path

from hokusai import data_directory
from tests import forked


def copy_into(data: Path) -> None:
    """Make a data directory that has them. All else is left to the server that starts on it."""
    template = _template()
    with data_directory.opened(data):
        shutil.copy(template / "mlflow.db", data)


def _template() -> Path:
    """A data directory as ``hokusai migrate`` leaves it. One process makes it, others wait."""
    made = forked.directory() / "template"
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            unfinished = made.with_name("unfinished")
            command = [str(Path(sys.executable).with_name("hokusai")), "migrate", "--data", str(unfinished)]
            ran = forked.run(command, env={"PATH": os.defpath})
            assert ran.returncode == 0, ran.stderr
            unfinished.rename(made)
    return made
