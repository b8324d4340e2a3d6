"""How many examples are tried: the same few in ``make test``, fewer in ``make unit``, many in ``make fuzz``."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis.database import DirectoryBasedExampleDatabase

from tests.properties import FUZZ

LONG = FUZZ == "long"
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
        examples = max(examples // 5, 1) if FUZZ == "short" else examples
        return settings(common, max_examples=examples, derandomize=True, database=None)
    return settings(common, max_examples=long, database=DirectoryBasedExampleDatabase(DATABASE))
