"""``make fuzz``: new random examples, round after round, until the time is over or a test fails."""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
#: Each takes about a minute.
MODULES = ("test_readings.py", "test_http.py", "test_tenants.py", "test_openapi.py")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz")
    parser.add_argument("--minutes", type=float, default=10, help="no new module is started after this time")
    end = time.monotonic() + 60 * parser.parse_args().minutes
    for done, module in enumerate(itertools.cycle(MODULES)):
        if time.monotonic() > end:
            print(f"fuzz: {done} runs of modules, and nothing failed")
            return 0
        print(f"fuzz: {module}", flush=True)
        if found := _run(module):
            return found
    return 0


def _run(module: str) -> int:
    """pytest's exit code; where that is not 0, its report has the reproducer."""
    line = [sys.executable, "-m", "pytest", "-q", "-x", "--timeout=0", "-p", "no:cacheprovider", str(HERE / module)]
    return subprocess.run(line, env={**os.environ, "HOKUSAI_TEST_FUZZ": "long"}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
