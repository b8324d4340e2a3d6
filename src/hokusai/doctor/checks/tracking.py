"""Group ``tracking``: runs are written to MLflow and read back, and only through the gateway."""

from __future__ import annotations

import time

from hokusai.doctor.checks.network import REACHABLE
from hokusai.doctor.examination import HOKUSAI_ONLY, Examination, Outcome, declare_check, failed, passed
from hokusai.doctor.probe import Answer, Responder
from hokusai.mlflow_api import V2

_ONE = {"max_results": "1"}
#: Where MLflow's API answers if a proxy has a route around the gateway.
_SIDE_DOORS = ("/ajax-api/2.0/mlflow", "/mlflow/api/2.0/mlflow", "/mlflow/ajax-api/2.0/mlflow", V2)
_THROUGH_SERVER = "mlflow-artifacts:"
_MAX_NAMED = 3


@declare_check(
    id="tracking", title="A run is written and read back", layer="tracking", group="tracking", needs=("bearer",)
)
async def write(exam: Examination) -> Outcome:
    """An experiment, a run, a parameter and a metric, read back."""
    facts = exam.facts
    _remove_experiment_later(exam)
    made = await exam.post("experiments/create", {"name": exam.name})
    facts.experiment = str(made.document.get("experiment_id", ""))
    if not made.ok or not facts.experiment:
        return failed(made)
    run = await exam.post("runs/create", {"experiment_id": facts.experiment, "start_time": _now()})
    info = run.document.get("run", {}).get("info", {})
    facts.run = str(info.get("run_id", ""))
    if not run.ok or not facts.run:
        return failed(run)
    metric = {"key": "loss", "value": 0.25, "timestamp": _now(), "step": 1}
    parameter = {"key": "alpha", "value": "0.1"}
    logged = await exam.post("runs/log-batch", {"run_id": facts.run, "metrics": [metric], "params": [parameter]})
    if not logged.ok:
        return failed(logged)
    found = await exam.get("runs/get", run_id=facts.run)
    data = found.document.get("run", {}).get("data", {})
    if not found.ok or (data.get("metrics") or [{}])[0].get("value") != metric["value"]:
        return failed(found, note="the run that was read differs from what was logged")
    return _located(exam, str(info.get("artifact_uri", "")))


def _located(exam: Examination, uri: str) -> Outcome:
    """Where the run's files are kept: behind the server, or at an address that needs credentials of its own."""
    note = f"run {exam.facts.run}, files at {uri}"
    if not uri.startswith(_THROUGH_SERVER):
        return failed(note=note + ": clients bypass the server for files", symptoms=["direct-location"])
    exam.facts.root = uri.partition(":")[2].lstrip("/")
    return passed(note=note)


def _remove_experiment_later(exam: Examination) -> None:
    async def remove() -> str | None:
        if not exam.facts.experiment:
            found = await exam.get("experiments/get-by-name", experiment_name=exam.name)
            exam.facts.experiment = str(found.document.get("experiment", {}).get("experiment_id", ""))
        if not exam.facts.experiment:
            return None
        answer = await exam.post("experiments/delete", {"experiment_id": exam.facts.experiment})
        return None if answer.ok or answer.status == 404 else f"experiment {exam.name}"

    exam.cleanup.add(remove)


@declare_check(
    id="locations",
    title="Every experiment keeps its files on this server",
    layer="tracking",
    group="tracking",
    needs=("bearer",),
)
async def locations(exam: Examination) -> Outcome:
    found = await exam.get("experiments/search", max_results="200", view_type="ACTIVE_ONLY")
    if not found.ok:
        return failed(found)
    experiments = found.document.get("experiments", ())
    direct = [
        f"{one.get('name')} → {one.get('artifact_location')}"
        for one in experiments
        if not str(one.get("artifact_location")).startswith(_THROUGH_SERVER)
    ]
    if direct:
        more = f" and {len(direct) - _MAX_NAMED} more" if len(direct) > _MAX_NAMED else ""
        note = f"{len(direct)} experiments keep files elsewhere: {', '.join(direct[:_MAX_NAMED])}{more}"
        return failed(note=note, symptoms=["direct-location"])
    return passed(note=f"experiments: {len(experiments)}, all with their files on this server")


@declare_check(
    id="closed",
    title="MLflow cannot be reached around the gateway",
    layer="tracking",
    group="tracking",
    needs=REACHABLE,
    kinds=HOKUSAI_ONLY,
)
async def closed(exam: Examination) -> Outcome:
    urls = [exam.target.url + path for path in _SIDE_DOORS]
    if exam.target.tracking_url:
        urls.append(exam.target.tracking_url.rstrip("/") + V2)
    for url in urls:
        found = await exam.probe.ask("GET", url + "/experiments/search", query=_ONE)
        if _is_open(found):
            return failed(found, note=f"MLflow answers without a key at {url}", symptoms=["mlflow-open"])
    hint = "" if exam.target.tracking_url else "; give --tracking-url to try MLflow's own address too"
    return passed(note=f"{len(urls)} addresses tried without a key{hint}")


def _is_open(found: Answer) -> bool:
    return found.ok and ("experiments" in found.document or found.responder is Responder.MLFLOW)


def _now() -> int:
    return int(time.time() * 1000)
