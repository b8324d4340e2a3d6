"""Threats 10 to 12: reading, changing and linking the victim's objects by every identifier that a route takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from tests.attacks.case import FILES, V2, Case, Step, get, owned, post
from tests.attacks.catalogue.requests import DELETES, QUIET, READS, UNDOINGS, WRITES


def cases() -> Iterator[Case]:
    for name, step in READS.items():
        for role in ("read", "write", "admin"):
            control = owned(step, shows="marker")
            yield Case(f"read {name} as {role}", 11, (step,), f"a.{role}", alike=_alike(name), control=control)
    for name, step in QUIET.items():
        yield Case(f"read {name}", 11, (step,), alike=True, control=owned(step, shows="success"))
    yield from _writes()
    yield from _searches()
    yield from _links()


def _alike(name: str) -> bool:
    return "own-and-theirs" not in name


def _writes() -> Iterator[Case]:
    for name, step in WRITES.items():
        for role in ("write", "admin"):
            control = owned(step, shows="change")
            yield Case(f"{name} as {role}", 12, (step,), f"a.{role}", refused=0, alike=True, control=control)
    for name, step in DELETES.items():
        for role in ("write", "admin"):
            control = owned(step, shows="change", by="c.admin")
            yield Case(f"{name} as {role}", 12, (step,), f"a.{role}", refused=0, alike=True, control=control)
    for name, (before, step) in UNDOINGS.items():
        control = owned(before, step, shows="success")
        yield Case(name, 12, (step,), refused=0, alike=True, control=control)


_FILTERS = {
    "runs": (
        "attributes.run_id = '<b.run>'",
        "attributes.run_id IN ('<b.run>','<a.run>')",
        "tags.secret LIKE '%'",
        "params.alpha LIKE '%'",
        "attributes.experiment_id = '<b.experiment>'",
        "metrics.loss > 0 OR 1=1",
        "tags.secret != 'x' AND attributes.artifact_uri LIKE '%<b.workspace>%'",
    ),
    "experiments": (
        "name LIKE '%'",
        "name ILIKE 'exp-b%'",
        "tags.secret LIKE '%'",
        "name = '<b.experiment_name>'",
        "workspace = '<b.workspace>'",
    ),
    "models": (
        "name LIKE '%'",
        "name ILIKE '%MODEL-B%'",
        "name = '<b.registered>'",
        "tags.secret LIKE '%'",
        "workspace = '<b.workspace>'",
        "name LIKE '%' OR name LIKE '%'",
    ),
    "versions": (
        "name LIKE '%'",
        "run_id = '<b.run>'",
        "run_id IN ('<b.run>','<a.run>')",
        "source_path LIKE '%<b.run>%'",
        "tags.secret LIKE '%'",
        "model_id = '<b.model>'",
    ),
}
_SEARCHES = {
    "experiments": f"{V2}/experiments/search",
    "models": f"{V2}/registered-models/search",
    "versions": f"{V2}/model-versions/search",
}


def _searches() -> Iterator[Case]:
    """Nothing of the victim's is found by any filter. The owner's own list shows that the route finds things."""
    for kind, path in _SEARCHES.items():
        control = owned(get(f"{path}?max_results=50"), shows="marker")
        for number, text in enumerate(_FILTERS[kind], 1):
            target = f"{path}?max_results=50&filter={_quoted(text)}"
            yield Case(f"search {kind} filter {number}", 10, (get(target),), control=control)
        for more in _MORE:
            yield Case(f"search {kind} {more[:40]}", 10, (get(f"{path}?{more}"),), control=control)
        for token in _TOKENS:
            step = get(f"{path}?max_results=50&page_token={token}")
            yield Case(f"search {kind} token {token[:24]}", 10, (step,), control=control)
        yield _token_of_b(kind, path)
    yield from _run_searches()


_MORE = (
    "max_results=1000",
    "view_type=ALL&max_results=1000",
    "view_type=DELETED_ONLY&max_results=1000",
    "max_results=100&order_by=name%20DESC",
    "max_results=100&order_by=workspace",
    "max_results=50&workspace=<b.workspace>",
    "max_results=50&X-MLFLOW-WORKSPACE=<b.workspace>",
)
_TOKENS = (
    "eyJvZmZzZXQiOiAwfQ==",  # {"offset": 0}
    "eyJvZmZzZXQiOiAtMTAwfQ==",  # {"offset": -100}
    "eyJvZmZzZXQiOiAwLCAid29ya3NwYWNlIjogIioifQ==",  # with a workspace
    "eyJsYXN0IjogIiJ9",
    "0",
)


def _token_of_b(kind: str, path: str) -> Case:
    theirs = get(f"{path}?max_results=1", by="b.write", keep=(("token", "next_page_token"),))
    mine = get(f"{path}?max_results=1&page_token=<kept.token>")
    return Case(f"search {kind} with the victim's page token", 10, (mine,), play=_with_token(theirs, mine))


def _with_token(theirs: Step, mine: Step) -> Any:
    def play(scene: Any) -> None:
        scene.do(theirs, "b.write")
        scene.answers.clear()  # the victim may see its own
        scene.do(mine, "a.write")

    return play


def _run_searches() -> Iterator[Case]:
    control = owned(READS["runs-search"], shows="marker")
    bodies: list[dict[str, Any]] = [
        {"experiment_ids": ["<b.experiment>", "<a.experiment>"], "filter": text} for text in _FILTERS["runs"]
    ]
    bodies += [
        {"experiment_ids": [], "max_results": 1000},
        {"max_results": 1000},
        {"experiment_ids": ["*"]},
        {"experiment_ids": ["0", "<b.experiment>"]},
        {"experiment_ids": ["<b.experiment>"], "run_view_type": "ALL"},
        {"experiment_ids": ["<b.experiment>"], "run_view_type": "DELETED_ONLY"},
        {"experiment_ids": ["<b.experiment>"], "order_by": ["tags.secret DESC", "params.alpha"]},
        {"experiment_ids": ["<b.experiment> "]},
        {"experiment_ids": [" <b.experiment>"]},
        {"experiment_ids": ["+<b.experiment>"]},
        {"experiment_ids": ["0<b.experiment>"]},
        {"experiment_ids": ["<b.experiment>.0"]},
        {"experiment_ids": "<b.experiment>"},
        {"experiment_ids": ["<b.experiment>"], "workspace": "<b.workspace>"},
        {"experimentIds": ["<b.experiment>"]},
    ]
    for number, body in enumerate(bodies, 1):
        yield Case(f"search runs {number}", 10, (post(f"{V2}/runs/search", body),), control=control)
        if "filter" not in body or "logged" in str(body):
            step = post(f"{V2}/logged-models/search", body)
            logged = owned(READS["logged-models-search"], shows="marker")
            yield Case(f"search logged models {number}", 10, (step,), control=logged)
    for directory in ("<b.root>", "<b.root>/model", "<b.logged_root>", "workspaces/<b.workspace>"):
        step = get(f"{FILES}?path={directory}")
        yield Case(f"list {directory}", 10, (step,), alike="workspaces/" not in directory, control=_listing())
    graphql = '{"query": "query { mlflowGetRun(input: {runId: \\"<b.run>\\"}) { run { data { tags { value } } } } }"}'
    for path in ("/graphql", "/ajax-api/2.0/mlflow/graphql", f"{V2}/graphql"):
        yield Case(f"graphql {path}", 10, (post(path, graphql),))


def _listing() -> Any:
    return owned(get(f"{FILES}?path=<b.root>"), shows="marker")


def _links() -> Iterator[Case]:
    """The victim's ids as values in one's own things."""
    run, own = "<b.run>", "<a.run>"
    links: dict[str, Step] = {
        "model_id in log-metric": post(
            f"{V2}/runs/log-metric",
            {"run_id": own, "key": "x", "value": 1, "timestamp": 1, "step": 0, "model_id": "<b.model>"},
        ),
        "model_id in log-batch": post(
            f"{V2}/runs/log-batch",
            {
                "run_id": own,
                "metrics": [{"key": "x", "value": 1, "timestamp": 1, "step": 0, "model_id": "<b.model>"}],
            },
        ),
        "modelId in log-batch, as MLflow's parser also takes it": post(
            f"{V2}/runs/log-batch",
            {
                "run_id": own,
                "metrics": [{"key": "x", "value": 1, "timestamp": 1, "step": 0, "modelId": "<b.model>"}],
            },
        ),
        "run_id in log-batch metric": post(
            f"{V2}/runs/log-batch",
            {"run_id": own, "metrics": [{"key": "x", "value": 1, "timestamp": 1, "step": 0, "run_id": run}]},
        ),
        "model in run inputs": post(f"{V2}/runs/log-inputs", {"run_id": own, "models": [{"model_id": "<b.model>"}]}),
        "model in run outputs": post(
            f"{V2}/runs/outputs", {"run_id": own, "models": [{"model_id": "<b.model>", "step": 0}]}
        ),
        "source_run_id of a logged model": post(
            f"{V2}/logged-models", {"experiment_id": "<a.experiment>", "name": "mine", "source_run_id": run}
        ),
        "run_id of a version": post(
            f"{V2}/model-versions/create",
            {"name": "<a.registered>", "source": "runs:/<b.run>/model", "run_id": run},
        ),
        "run_id of a version with a source of one's own": post(
            f"{V2}/model-versions/create", {"name": "<a.registered>", "source": "<a.uri>/model", "run_id": run}
        ),
        "model_id of a version": post(
            f"{V2}/model-versions/create",
            {"name": "<a.registered>", "source": "models:/<b.model>", "model_id": "<b.model>"},
        ),
        "model_id of a version with a run of one's own": post(
            f"{V2}/model-versions/create",
            {"name": "<a.registered>", "source": "<a.uri>/model", "run_id": own, "model_id": "<b.model>"},
        ),
        "run of another with one's own uuid": post(
            f"{V2}/runs/set-tag", {"run_id": run, "run_uuid": own, "key": "planted", "value": "x"}
        ),
        "uuid of another with one's own run": post(
            f"{V2}/runs/set-tag", {"run_id": own, "run_uuid": run, "key": "planted", "value": "x"}
        ),
        "update by two ids": post(f"{V2}/runs/update", {"run_id": own, "run_uuid": run, "run_name": "x"}),
        "parameter by two ids": post(
            f"{V2}/runs/log-parameter", {"run_id": own, "run_uuid": run, "key": "k", "value": "x"}
        ),
        "run_link": post(
            f"{V2}/model-versions/create",
            {
                "name": "<a.registered>",
                "source": "runs:/<a.run>/model",
                "run_id": own,
                "run_link": "http://<listener>/x",
            },
        ),
    }
    own_link = owned(WRITES["run-outputs"], shows="change")
    for name, step in links.items():
        yield Case(f"link: {name}", 12, (step, get(f"{V2}/runs/get?run_id=<a.run>")), control=own_link)


def _quoted(text: str) -> str:
    return quote(text, safe="<>.")
