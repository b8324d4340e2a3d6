"""Threats 5 to 7: false claims about where a version, a run or an experiment has its files, also in tags."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tests.attacks.case import FILES, V2, Case, Step, get, owned, post, send, short
from tests.attacks.world import ODD

if TYPE_CHECKING:
    from tests.attacks.scene import Scene

_TAIL = "<b.experiment>/<b.run>/artifacts/model"

#: What a tenant may try as a version's source, and as an experiment's location.
PLACES = (
    "s3://any-bucket/secrets",
    "s3://any-bucket/workspaces/<b.workspace>/model",
    "S3://any-bucket/x",
    "s3:/any-bucket/x",
    "s3a://any-bucket/x",
    "gs://any-bucket/x",
    "abfss://c@account.dfs.core.windows.net/x",
    "wasbs://c@account.blob.core.windows.net/x",
    "hdfs://<listener>/x",
    "ftp://<listener>/x",
    "sftp://<listener>/x",
    "http://<listener>/x",
    "https://<listener>/x",
    "HTTP://<listener>/x",
    "http://169.254.169.254/latest/meta-data",
    "http://[::ffff:127.0.0.1]/x",
    "http://localtest.me/x",
    "dbfs:/x",
    "databricks://x/y",
    "uc:/x",
    "r2://x@account/x",
    "b2://x/y",
    "hf://user/model",
    "file:<canary>",
    "file://<canary>",
    "file:///<canary>",
    "FILE:<canary>",
    "file://localhost<canary>",
    "file:%2fetc%2fpasswd",
    "file:../../etc/passwd",
    "<canary>",
    "/etc",
    "./x",
    "../x",
    "~/x",
    "\\\\server\\share",
    "C:\\Windows",
    "data:text/plain,x",
    "javascript:alert(1)",
    "sqlite:///<canary>",
    "mlflow-artifacts:/",
    "mlflow-artifacts:///",
    "mlflow-artifacts:/workspaces",
    "mlflow-artifacts:/workspaces/<b.workspace>",
    f"mlflow-artifacts:/workspaces/<b.workspace>/{_TAIL}",
    f"mlflow-artifacts:///workspaces/<b.workspace>/{_TAIL}",
    f"mlflow-artifacts://<listener>/workspaces/<b.workspace>/{_TAIL}",
    f"MLFLOW-ARTIFACTS:/workspaces/<b.workspace>/{_TAIL}",
    f"mlflow-artifacts:/workspaces/<a.workspace>/../<b.workspace>/{_TAIL}",
    f"mlflow-artifacts:/workspaces/<a.workspace>/%2e%2e/<b.workspace>/{_TAIL}",
    f"mlflow-artifacts:/workspaces/<a.workspace>/%252e%252e/<b.workspace>/{_TAIL}",
    f"mlflow-artifacts:/workspaces/<a.workspace>/..%2f<b.workspace>/{_TAIL}",
    f"mlflow-artifacts:/workspaces/<a.workspace>\\..\\<b.workspace>/{_TAIL}",
    f"mlflow-artifacts://workspaces/<b.workspace>/{_TAIL}",
    f"mlflow-artifacts:/<b.workspace>/{_TAIL}",
    f"mlflow-artifacts:workspaces/<b.workspace>/{_TAIL}",
    f"mlflow-artifacts:/workspaces/<b.workspace>/{_TAIL}#<a.uri>",
    f"mlflow-artifacts:/workspaces/<b.workspace>/{_TAIL}?x=<a.uri>",
    f" mlflow-artifacts:/workspaces/<b.workspace>/{_TAIL}",
    f"mlflow-artifacts:/workspaces/<b.workspace>/{_TAIL} ",
    f"mlflow-artifacts:/workspaces/<b.workspace>/{_TAIL}\u0000",
    f"mlflow-artifacts:/./workspaces/<b.workspace>/{_TAIL}",
    f"mlflow-artifacts:/%77orkspaces/<b.workspace>/{_TAIL}",
    "mlflow-artifacts:/default",
    "mlflow-artifacts://user:pass@<listener>/x",
)

#: Spellings that mean something to a version alone.
SOURCES = (
    "runs:/<b.run>/model",
    "runs:/<b.run>",
    "runs:///<b.run>/model",
    "RUNS:/<b.run>/model",
    "runs:/<b.run>/../<b.run>/model",
    "runs:/<a.run>/../../<b.run>/artifacts/model",
    "runs:/<a.run>/%2e%2e/%2e%2e/<b.run>/artifacts/model",
    "runs:/<a.run>/%252e%252e/%252e%252e/<b.run>/artifacts/model",
    "runs:/<a.run>/..\\..\\<b.run>",
    "runs:/<b.run>/model#/<a.run>/model",
    "runs:/<b.run>/model?run_id=<a.run>",
    "runs://<listener>/<b.run>/model",
    "runs://<a.run>@<listener>/<b.run>/model",
    "runs:/<n.run>/model",
    "runs:/",
    "runs:",
    " runs:/<b.run>/model",
    "models:/<b.registered>/1",
    "models:/<b.registered>/latest",
    "models:/<b.registered>/None",
    "models:/<b.registered>@best",
    "models:/<b.model>",
    "models:///<b.model>",
    "MODELS:/<b.model>",
    "models:/<b.model>/../<a.model>",
    "models:/<b.model>#<a.model>",
    "models:/<b.model>?x=1",
    "models:/<b.model> ",
    "models:/%6d-<b.model>",
    "models://<listener>/<b.registered>/1",
    "models:/<n.model>",
    "models:/../<b.registered>/1",
    "models:/<a.registered>/../<b.registered>/1",
    "",
    " ",
)


def cases() -> Iterator[Case]:
    yield from _versions()
    yield from _locations()
    yield from _tags()


def _create(source: str, **more: Any) -> Step:
    return post(f"{V2}/model-versions/create", {"name": "<a.registered>", "source": source, **more}, keep=_VERSION)


_VERSION = (("version", "model_version/version"),)
_URI = (("uri", "artifact_uri"),)


def _versions() -> Iterator[Case]:
    """A source that is not the tenant's own is refused; were it taken, every way to read it is tried."""
    control = owned(
        post(
            f"{V2}/model-versions/create",
            {"name": "<b.registered>", "source": "runs:/<b.run>/model", "run_id": "<b.run>"},
        ),
        shows="change",
    )
    for source in PLACES + SOURCES:
        shown = short(source)
        steps = (_create(source), *_READING)
        yield Case(f"source {shown!r}", 5, steps, refused=0, control=control)
    for source in ("runs:/<b.run>/model", "models:/<b.model>", "<b.uri>/model", "<b.logged_uri>"):
        for how, more in _CLAIMS.items():
            steps = (_create(source, **more), *_READING)
            yield Case(f"source {source} {how}", 5, steps, refused=0, control=control)
    for source in (
        "s3://any-bucket/x",
        "file:<canary>",
        "http://<listener>/x",
        f"<a.uri>/../../../<b.run>/{quote(ODD)}",
    ):
        for how, more in _CLAIMS.items():
            yield Case(f"source {source} {how}", 5, (_create(source, **more), *_READING), refused=0, control=control)


#: Ids given beside the source, to make a foreign one look like one's own.
_CLAIMS: dict[str, dict[str, Any]] = {
    "with a run of one's own": {"run_id": "<a.run>"},
    "with the victim's run": {"run_id": "<b.run>"},
    "with a logged model of one's own": {"model_id": "<a.model>"},
    "with the victim's logged model": {"model_id": "<b.model>"},
    "as a prompt": {"tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]},
}
_READING = (
    get(f"{V2}/model-versions/get-download-uri?name=<a.registered>&version=<kept.version>", keep=_URI),
    get("/model-versions/get-artifact?name=<a.registered>&version=<kept.version>&path=MLmodel"),
    get("/ajax-api/2.0/mlflow/model-versions/get-artifact?name=<a.registered>&version=<kept.version>&path=MLmodel"),
    get(f"{V2}/model-versions/get?name=<a.registered>&version=<kept.version>"),
)


def _locations() -> Iterator[Case]:
    """An experiment's files are where the server puts them, whatever was asked for."""
    for place in PLACES:
        shown = short(place)
        yield Case(f"artifact_location {shown!r}", 7, play=_located(place))
    for field in ("artifact_uri", "artifactUri", "artifact_location"):
        body = {"experiment_id": "<a.experiment>", "start_time": 1, field: "<b.uri>"}
        kept = (("uri", "run/info/artifact_uri"),)
        steps = (post(f"{V2}/runs/create", body, keep=kept, needed=True), get(f"{FILES}?path=<b.root>"))
        yield Case(f"{field} of a new run", 7, steps, play=_own_uri(steps[0]))
    update = {"run_id": "<a.run>", "artifact_uri": "<b.uri>", "status": "RUNNING"}
    steps = (
        post(f"{V2}/runs/update", update),
        get(f"{V2}/runs/get?run_id=<a.run>", keep=(("uri", "run/info/artifact_uri"),)),
    )
    yield Case("artifact_uri of a run, changed", 7, play=_own_uri(*steps))


def _located(place: str) -> Callable[[Scene], None]:
    def play(scene: Scene) -> None:
        name = f"elsewhere {scene.kept['kept.nonce']}"
        create = post(
            f"{V2}/experiments/create",
            {"name": name, "artifact_location": place},
            keep=(("experiment", "experiment_id"),),
        )
        if scene.do(create, "a.write").status >= 400:
            return
        found = scene.do(get(f"{V2}/experiments/get?experiment_id=<kept.experiment>"), "a.write").json()
        _assert_own(scene, str(found["experiment"]["artifact_location"]))
        run = post(f"{V2}/runs/create", {"experiment_id": "<kept.experiment>", "start_time": 1})
        _assert_own(scene, str(scene.do(run, "a.write").json()["run"]["info"]["artifact_uri"]))

    return play


def _own_uri(*steps: Step) -> Callable[[Scene], None]:
    def play(scene: Scene) -> None:
        statuses = [scene.do(step, "a.write").status for step in steps]
        if statuses[-1] < 400:
            _assert_own(scene, scene.kept["kept.uri"])

    return play


def _assert_own(scene: Scene, uri: str) -> None:
    own = f"mlflow-artifacts:/workspaces/{scene.a.tenant.name}/"
    said = f"files would be at {uri[:200]}"
    assert uri.startswith(own), said
    assert not {"..", "%"} & set(uri.replace("%", "/%/").split("/")), said


_KEYS = (
    "mlflow.artifactLocation",
    "mlflow.artifact_location",
    "mlflow.prompt.is_prompt",
    "mlflow.experiment.artifactLocation",
    "mlflow.domino.artifactLocation",
    "mlflow.traceLocation",
    "mlflow.trace.artifactLocation",
)


def _tags() -> Iterator[Case]:
    """A tag does not lead a reader elsewhere: to the victim's files, to a host, or to a file here."""
    for key in _KEYS:
        for value in ("<b.uri>", "file:<canary>", "http://<listener>/x"):
            tag = {"key": key, "value": value}
            name = f"{key} = {value}"
            run = post(f"{V2}/runs/set-tag", {"run_id": "<a.run>", **tag})
            read = (
                get("/get-artifact?run_id=<a.run>&path=model/MLmodel"),
                get(f"{V2}/artifacts/list?run_id=<a.run>"),
                get(f"{V2}/runs/get?run_id=<a.run>"),
            )
            yield Case(f"tag on a run: {name}", 6, (run, *read))
            experiment = post(f"{V2}/experiments/set-experiment-tag", {"experiment_id": "<a.experiment>", **tag})
            created = post(f"{V2}/runs/create", {"experiment_id": "<a.experiment>", "start_time": 1})
            yield Case(f"tag on an experiment: {name}", 6, play=_tagged(experiment, created))
            model = post(f"{V2}/registered-models/set-tag", {"name": "<a.registered>", **tag})
            yield Case(f"tag on a model, then a version: {name}", 6, (model, _create(value), *_READING), refused=1)
    trace = {"trace": {"trace_info": {"trace_location": {"type": "MLFLOW_EXPERIMENT"}, "tags": {_KEYS[0]: "<b.uri>"}}}}
    steps = (post("/api/3.0/mlflow/traces", trace), get("/ajax-api/3.0/mlflow/get-trace-artifact?request_id=tr-1"))
    yield Case("tag on a trace", 6, steps)
    logged = send(
        "PATCH", f"{V2}/logged-models/<a.model>/tags", {"tags": [{"key": _KEYS[0], "value": "<b.logged_uri>"}]}
    )
    yield Case("tag on a logged model", 6, (logged, get(f"{V2}/logged-models/<a.model>/artifacts/directories")))
    for link in (
        "javascript:alert(1)",
        "data:text/html,x",
        "file:<canary>",
        "https://x/\n<script>",
        "//x",
        " https://x",
    ):
        step = _create("runs:/<a.run>/model", run_id="<a.run>", run_link=link)
        yield Case(f"run_link {link!r}", 6, (step,), refused=0)
    for name, play in (("user_id", _signed_by_field), ("mlflow.user", _signed_by_tag)):
        yield Case(f"signed with another's name by {name}", 6, play=play)


def _tagged(tag: Step, create: Step) -> Callable[[Scene], None]:
    def play(scene: Scene) -> None:
        scene.do(tag, "a.write")
        found = scene.do(create, "a.write").json()
        _assert_own(scene, str(found["run"]["info"]["artifact_uri"]))

    return play


def _signed_by_field(scene: Scene) -> None:
    body = {"experiment_id": "<a.experiment>", "start_time": 1, "user_id": "mallory"}
    found = scene.do(post(f"{V2}/runs/create", body), "a.write")
    assert b"mallory" not in found.body, "the run says it is of a user whom the client made up"


def _signed_by_tag(scene: Scene) -> None:
    tag = {"key": "mlflow.user", "value": "mallory"}
    scene.do(post(f"{V2}/runs/set-tag", {"run_id": "<a.run>", **tag}), "a.write")
    scene.do(post(f"{V2}/runs/log-batch", {"run_id": "<a.run>", "tags": [tag]}), "a.write")
    scene.do(post(f"{V2}/runs/create", {"experiment_id": "<a.experiment>", "start_time": 1, "tags": [tag]}), "a.write")
    found = scene.do(post(f"{V2}/runs/search", {"experiment_ids": ["<a.experiment>"]}), "a.write")
    assert b"mallory" not in found.body, "a run says it is of a user whom the client made up"
