"""Which tests follow one another on one of xdist's workers, and which go first.

The tests of a file do, so that what its fixtures start is started once. (xdist's own ``--dist loadgroup`` does
nothing with pytest 9.2: https://github.com/pytest-dev/pytest-xdist/issues/1386.)
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

#: What shares something slow to make: MLflow in the tests' own process, a made-up AWS, one target of the attacks.
_GROUPS = {
    "tests/attacks/test_attacks.py::test_the_walls_hold[embedded-s3": "attacks on a bucket",
    "tests/attacks/test_attacks.py::test_the_walls_hold[remote": "attacks on MLflow elsewhere",
    "tests/deploy/test_grafana.py": "dashboard",
    "tests/deploy/": "AWS",
    "tests/gateway/test_route.py": "MLflow",
    "tests/test_errors.py": "MLflow",
    "tests/tracking/": "MLflow",
}
#: The longest first, so that no worker is left alone with one at the end.
_LONGEST = (
    "tests/attacks/test_attacks.py",
    "tests/stock/test_clients.py",
    "tests/test_query_floods.py",
    "MLflow",
    "AWS",
    "tests/test_topologies.py",
    "tests/test_mlflow_processes.py",
    "tests/docs/test_tutorial.py",
    "tests/artifacts/test_crash.py",
    "tests/test_limits.py",
    "tests/doctor/test_lab.py",
    "tests/test_revocation.py",
    "tests/test_serve.py",
    "tests/fuzz/test_tenants.py",
    "dashboard",
)


class Schedule(LoadScopeScheduling):
    """Hands out whole groups, or files, of tests, the longest first."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        self.workqueue = _LongestFirst()

    def _split_scope(self, nodeid: str) -> str:
        found = (group for beginning, group in _GROUPS.items() if nodeid.startswith(beginning))
        return next(found, nodeid.partition("::")[0])


class _LongestFirst(OrderedDict[str, dict[str, bool]]):
    def popitem(self, last: bool = True) -> tuple[str, dict[str, bool]]:
        found = next((group for group in _LONGEST if group in self), next(iter(self)))
        return found, self.pop(found)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Schedule:
    return Schedule(config, log)
