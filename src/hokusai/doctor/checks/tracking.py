"""Group ``tracking``: MLflow itself, written to and read back; and nobody else at it."""

from __future__ import annotations

import time

from hokusai.doctor import stock
from hokusai.doctor.answer import Who
from hokusai.doctor.check import Outcome, failed, passed, skipped
from hokusai.doctor.examination import V2, Examination

_SEARCH = V2 + "/experiments/search"
_ONE = {"max_results": "1"}
#: Where MLflow's API is seen when a proxy leads past the gateway.
_SIDE_DOORS = ("/ajax-api/2.0/mlflow", "/mlflow/api/2.0/mlflow", "/mlflow/ajax-api/2.0/mlflow", V2)
_PROXIED = ("mlflow-artifacts:",)


async def write(exam: Examination) -> Outcome:
    """An experiment, a run, a parameter and a metric, read back."""
    learnt = exam.learnt
    _forget_experiment(exam)
    made = await exam.post("experiments/create", {"name": exam.name})
    learnt.experiment = str(made.document.get("experiment_id", ""))
    if not made.ok or not learnt.experiment:
        return failed(made)
    run = await exam.post("runs/create", {"experiment_id": learnt.experiment, "start_time": _now()})
    info = run.document.get("run", {}).get("info", {})
    learnt.run = str(info.get("run_id", ""))
    if not run.ok or not learnt.run:
        return failed(run)
    metric = {"key": "loss", "value": 0.25, "timestamp": _now(), "step": 1}
    parameter = {"key": "alpha", "value": "0.1"}
    logged = await exam.post("runs/log-batch", {"run_id": learnt.run, "metrics": [metric], "params": [parameter]})
    if not logged.ok:
        return failed(logged)
    found = await exam.get("runs/get", run_id=learnt.run)
    data = found.document.get("run", {}).get("data", {})
    if not found.ok or (data.get("metrics") or [{}])[0].get("value") != metric["value"]:
        return failed(found, note="what was logged is not what is read")
    return _placed(exam, str(info.get("artifact_uri", "")))


def _placed(exam: Examination, uri: str) -> Outcome:
    """Where the run's files belong: below the server, or at an address the client needs rights of its own for."""
    note = f"run {exam.learnt.run}, files at {uri}"
    if not uri.startswith(_PROXIED):
        return failed(note=note + ": clients are sent past the server", signs=["direct-location"])
    exam.learnt.root = uri.partition(":")[2].lstrip("/")
    return passed(note=note)


def _forget_experiment(exam: Examination) -> None:
    async def remove() -> str | None:
        if not exam.learnt.experiment:
            found = await exam.get("experiments/get-by-name", experiment_name=exam.name)
            exam.learnt.experiment = str(found.document.get("experiment", {}).get("experiment_id", ""))
        if not exam.learnt.experiment:
            return None
        answer = await exam.post("experiments/delete", {"experiment_id": exam.learnt.experiment})
        return None if answer.ok or answer.status == 404 else f"experiment {exam.name}"

    exam.cleanup.add(remove)


async def locations(exam: Examination) -> Outcome:
    """Every experiment there is keeps its files behind this server."""
    found = await exam.get("experiments/search", max_results="200", view_type="ACTIVE_ONLY")
    if not found.ok:
        return failed(found)
    direct = [
        f"{one.get('name')} → {one.get('artifact_location')}"
        for one in found.document.get("experiments", ())
        if not str(one.get("artifact_location")).startswith(_PROXIED)
    ]
    if direct:
        shown = ", ".join(direct[:3]) + (f" and {len(direct) - 3} more" if len(direct) > 3 else "")
        return failed(note=f"{len(direct)} experiments keep files elsewhere: {shown}", signs=["direct-location"])
    return passed(note=f"{len(found.document.get('experiments', ()))} experiments, all behind this server")


async def closed(exam: Examination) -> Outcome:
    """MLflow answers nobody who does not come through the gateway."""
    places = [exam.target.url + path for path in _SIDE_DOORS]
    if exam.target.tracking_url:
        places += [exam.target.tracking_url.rstrip("/") + V2]
    for place in places:
        found = await exam.probe.ask("GET", place + "/experiments/search", query=_ONE)
        if (found.ok and "experiments" in found.document) or (found.who is Who.MLFLOW and found.ok):
            return failed(found, note=f"MLflow answers without a key at {place}", signs=["mlflow-open"])
    asked = "" if exam.target.tracking_url else "; give --tracking-url to have MLflow's own address tried too"
    return passed(note=f"{len(places)} addresses tried without a key{asked}")


async def client_version(exam: Examination) -> Outcome:
    """The stock client on this machine, by number; beside a plain server's, which speaks no newer language."""
    found = await stock.version(exam.target.python)
    if found is None:
        return skipped("no MLflow client here: the round is made by our own requests", matters=False)
    if not stock.supported(found):
        note = f"mlflow {found}; tried and supported: {stock.OLDEST} to {stock.NEWEST}"
        return failed(note=note, signs=["client-odd"])
    server = await exam.ask("GET", "/version") if exam.target.kind == "mlflow" else None
    theirs = server.body.decode("utf-8", "replace") if server and server.ok else ""
    if theirs.startswith("2.") and not found.startswith("2."):
        note = f"mlflow {found} asks for routes that a server of {theirs} has not"
        return failed(note=note, signs=["client-newer"])
    return passed(note=f"mlflow {found}")


def _now() -> int:
    return int(time.time() * 1000)
