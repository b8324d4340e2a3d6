"""How many examples are tried: few and the same ones in ``make test``, many new ones in ``make fuzz``."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis.database import DirectoryBasedExampleDatabase

#: Set by ``make fuzz``.
LONG = os.environ.get("HOKUSAI_TEST_FUZZ") == "long"
#: Finds are kept here, and tried first in the next long run.
DATABASE = Path(__file__).parents[2] / ".cache" / "fuzz"


def bounds(examples: int, *, long: int, steps: int = 50) -> settings:
    """Settings for ``examples`` tries of up to ``steps`` steps; ``long`` tries under ``make fuzz``."""
    common = settings(
        deadline=None,
        print_blob=True,
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
        stateful_step_count=steps * 3 if LONG else steps,
        suppress_health_check=list(HealthCheck),
    )
    if not LONG:
        return settings(common, max_examples=examples, derandomize=True, database=None)
    return settings(common, max_examples=long, database=DirectoryBasedExampleDatabase(DATABASE))
