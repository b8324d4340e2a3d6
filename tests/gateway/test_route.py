"""The route table finds the listed routes, in their one spelling, and no others."""

import pytest

from hokusai.gateway import ROUTES, Body, Route, RouteTable, closed, drift
from hokusai.gateway.table import ARTIFACTS, REGISTRY, TRACKING
from hokusai.identity import Permission

TABLE = RouteTable(ROUTES)
GET = "/api/2.0/mlflow/registered-models/get"


@pytest.mark.parametrize("prefix", ["", "/api/mlflow"])
def test_both_tracking_uris_find_the_same_route(prefix: str) -> None:
    found = TABLE.find("GET", prefix + GET)
    assert found
    assert found.route.path == found.path == GET


@pytest.mark.parametrize(
    "path",
    [
        GET + "/",
        GET.upper(),
        "/" + GET,
        GET.replace("/get", "//get"),
        GET.replace("get", "%67et"),
        GET.replace("/api/2.0", "/ajax-api/2.0"),
        GET.replace("/api/2.0", "/api/2.0/"),
        GET.replace("/api/2.0/", "/api/2.0"),
        GET.replace("2.0", "3.0"),
        "/api/mlflow/api/mlflow" + GET,
        "/api/mlflow/" + GET,
        "/api/2.0/mlflow/../mlflow/registered-models/get",
        "/api/2.0/mlflow/logged-models/",
        "/api/2.0/mlflow/logged-models/a/b/c",
        "/api/2.0/mlflow-artifacts/artifacts/",
        "/api/2.0/mlflow-artifacts/mpu/complete/x",
        "/api/2.0/mlflow/workspaces",
        "/api/3.0/mlflow/workspaces",
        "/get-artifact",
        "/graphql",
        "/api/mlflow/health",
        "/api/mlflow",
    ],
)
def test_other_spellings_and_other_routes_are_not_found(path: str) -> None:
    assert all(TABLE.find(method, path) is None for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"))


def test_the_method_is_part_of_the_route() -> None:
    assert TABLE.find("POST", GET) is None
    assert TABLE.find("get", GET) is None


def test_placeholders_are_found_still_encoded() -> None:
    found = TABLE.find("DELETE", "/api/2.0/mlflow/logged-models/m-1/tags/a%20b")
    assert found
    assert found.values == {"model_id": "m-1", "tag_key": "a%20b"}


def test_a_literal_route_goes_before_a_placeholder() -> None:
    found = TABLE.find("GET", "/api/v1/keys/self")
    assert found
    assert found.route.permission is None


def test_a_route_stands_in_the_table_once() -> None:
    route = Route("GET", "/x", "home")
    with pytest.raises(ValueError, match="twice"):
        RouteTable([route, route])


def test_every_route_that_reaches_tenants_data_needs_a_permission() -> None:
    for route in ROUTES:
        if route.to in {"tracking", "artifacts"}:
            assert route.permission, route
            assert not route.public, route
            assert route.fields is not None, route


def test_methods_that_change_something_need_more_than_read() -> None:
    searches = {"/search", "/get-latest-versions"}
    for route in REGISTRY:
        if route.method not in {"GET", "HEAD"} and not any(route.path.endswith(end) for end in searches):
            assert route.changes, route


def test_bodies_follow_the_method() -> None:
    for route in TRACKING:
        assert (route.body is Body.NONE) == (route.method == "GET"), route


def test_drift_is_named_on_both_sides() -> None:
    ours = [Route("GET", "/a/{id}", "tracking", Permission.RUNS_READ), Route("GET", "/gone", "tracking")]
    missing, unlisted = drift(ours, [("GET", "/a/<path:x>"), ("POST", "/new")])
    assert missing == [("GET", "/gone")]
    assert unlisted == [("POST", "/new")]


@pytest.mark.process  # importing MLflow starts one
def test_this_mlflow_has_every_route_of_ours() -> None:
    from mlflow.server import handlers

    theirs = [(method, path) for path, _, methods in handlers.get_endpoints() for method in methods]
    missing, unlisted = drift(TRACKING + ARTIFACTS, theirs)
    assert [route for route in missing if route[0] != "HEAD"] == []
    assert set(unlisted) == closed(), "routes that nobody reviewed, or that are gone"
