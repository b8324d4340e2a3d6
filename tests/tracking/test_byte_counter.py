"""Which requests store something in MLflow: by the permission that their routes need, and by exception."""

from __future__ import annotations

import pytest

from hokusai.gateway.route import Body, Route
from hokusai.gateway.table import TRACKING
from hokusai.identity import PERMISSION_SETS, Principal
from hokusai.mlflow_api import V2
from hokusai.tracking.byte_counter import stores
from hokusai.tracking.request import TrackingRequest

PRINCIPAL = Principal("key_1", "user", "acme", PERMISSION_SETS["admin"])
#: They set what has a place already, so that runs can be ended under a quota that is used up.
IN_PLACE = {"/runs/update", "/runs/restore", "/experiments/restore", "/model-versions/transition-stage"}


def counted(route: Route) -> bool:
    path = route.path.removeprefix(V2)
    return stores(TrackingRequest(route.method, path, {}, (), PRINCIPAL, "acme"))


@pytest.mark.parametrize("route", TRACKING, ids=str)
def test_a_route_counts_unless_it_reads_or_deletes(route: Route) -> None:
    assert route.permission is not None
    path = route.path.removeprefix(V2)
    deletes = route.method == "DELETE" or path.rpartition("/")[2].startswith("delete")
    reads = route.permission.endswith(":read")
    assert counted(route) == (not reads and not deletes and path not in IN_PLACE)


def test_what_counts_has_a_body() -> None:
    assert all(route.body is Body.JSON for route in TRACKING if counted(route))
