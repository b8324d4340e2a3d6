"""The route table accepts everything that recorded clients sent, with every field.

The recordings in ``tests/golden/traffic`` are distinct requests of stock MLflow clients during the
scenario of the stock tests; ``scripts/record.py`` makes them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hokusai.gateway import ROUTES, Body, RouteTable

GOLDEN = Path(__file__).parent.parent / "golden" / "traffic"
TABLE = RouteTable(ROUTES)
RECORDED = [
    pytest.param(request, id=f"{file.stem} {request['method']} {request['path']}")
    for file in sorted(GOLDEN.glob("*.json"))
    for request in json.loads(file.read_text())
]
#: Sent by some clients after a refusal or for features that are not open here; 404 is the answer they expect.
NOT_OPEN = {"/api/2.0/mlflow/traces", "/api/3.0/mlflow/traces", "/v1/traces"}


def test_versions_from_the_oldest_to_the_newest_are_recorded() -> None:
    minors = {file.stem.rsplit(".", 1)[0] for file in GOLDEN.glob("*.json")}
    assert len(minors) >= 10, minors


@pytest.mark.parametrize("request_", RECORDED)
def test_what_a_stock_client_sends_goes_through_whole(request_: dict[str, Any]) -> None:
    if request_["path"] in NOT_OPEN:
        return
    match = TABLE.find(request_["method"], request_["path"])
    assert match, "the table does not list it"
    names = request_["query"] if match.route.body is Body.NONE else request_["body"]
    assert match.route.fields is not None
    listed = {field.name for field in match.route.fields}
    assert set(names) <= listed, "names that would be left behind"
