"""``hokusai serve`` that can be killed at an aimed moment: ``KILLS_POINT`` names it, as ``tests/kill_points.py`` does.

What a server does every few seconds, or every half minute, it does more often here: a check waits for it. A worker of
several runs this module as well, as ``multiprocessing`` has its processes do.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from hokusai import cli
from hokusai.artifacts import ArtifactsApp
from hokusai.audit import changes
from tests import kill_points

#: Seconds.
_SETTLE = 0.5

defaults = ArtifactsApp.__init__.__kwdefaults__
assert defaults is not None
defaults["settle_seconds"] = _SETTLE
changes._EVERY = _SETTLE  # type: ignore[assignment]
if point := os.environ.get("KILLS_POINT"):
    kill_points.arm(point)

if __name__ == "__main__":
    sys.exit(cli.main())
