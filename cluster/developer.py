"""Runs ``client.py`` in a separate process: a stock client that works while the cluster is being broken."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.environments import Environment
from tests.serving import environment as clean

_SCRIPT = Path(__file__).with_name("client.py")
_STOCK = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


@dataclass
class Work:
    """What was registered, and what failed in spite of the client's own retries."""

    done: list[dict[str, Any]] = field(default_factory=list)

    @property
    def failed(self) -> list[dict[str, Any]]:
        return [one for one in self.done if "failed" in one]

    @property
    def slowest(self) -> float:
        return max(float(one["seconds"]) for one in self.done)


class Developer:
    """A stock client with its settings: address, key and certificates."""

    def __init__(self, stock: Environment, variables: dict[str, str], place: Path) -> None:
        self._python = stock.program("python")
        self._environment = clean(**variables, **_STOCK)
        self._place = place
        self.all = Work()

    @contextmanager
    def registering(self, prefix: str) -> Iterator[Work]:
        """Registers models one after another while the block runs; ``Work`` is complete after it."""
        stop, log, out = (self._place / f"{prefix}.{end}" for end in ("stop", "log", "jsonl"))
        work = Work()
        with out.open("w") as stdout, log.open("w") as stderr:
            line = [self._python, str(_SCRIPT), "register", prefix, str(stop)]
            process = subprocess.Popen(line, env=self._environment, cwd=self._place, stdout=stdout, stderr=stderr)
            try:
                _first(out, process)
                yield work
            finally:
                stop.touch()
                process.wait(300)
        work.done += [json.loads(line) for line in out.read_text().splitlines()]
        self.all.done += work.done

    def lost(self) -> list[str]:
        """The registered models that do not load or do not predict the same."""
        lines = "".join(json.dumps(one) + "\n" for one in self.all.done if "failed" not in one)
        line = [self._python, str(_SCRIPT), "verify"]
        done = subprocess.run(
            line,
            env=self._environment,
            cwd=self._place,
            input=lines,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            raise AssertionError(done.stderr[-1500:])
        return done.stdout.splitlines()


def _first(out: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until the client has registered its first model: breaking an idle server proves nothing."""
    import time

    end = time.monotonic() + 120
    while not out.read_text():
        if process.poll() is not None or time.monotonic() > end:
            raise AssertionError("the stock client did not begin")
        time.sleep(0.2)
