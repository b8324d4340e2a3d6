"""Group ``registration``, with the stock MLflow client that is installed here."""

from __future__ import annotations

from hokusai.doctor import stock
from hokusai.doctor.checks.registration import remove_model_later
from hokusai.doctor.examination import Examination, Outcome, declare_check, failed, passed, skipped
from hokusai.mlflow_api import ARTIFACTS

_NO_CLIENT = "there is no MLflow client here: only the doctor's own requests were tried"


@declare_check(
    id="client-version", title="The installed MLflow client is supported", layer="client", group="registration"
)
async def client_version(exam: Examination) -> Outcome:
    """The stock client's version; for a plain server also compared with the server's."""
    found = await stock.version(exam.target.python)
    if found is None:
        return skipped(_NO_CLIENT, optional=True)
    if not stock.is_supported(found):
        note = f"mlflow {found}; supported: {stock.OLDEST} to {stock.NEWEST}"
        return failed(note=note, symptoms=["client-odd"])
    server = await exam.ask("GET", "/version") if exam.target.kind == "mlflow" else None
    theirs = server.text if server and server.ok else ""
    if theirs.startswith("2.") and not found.startswith("2."):
        note = f"mlflow {found} calls routes that a server of version {theirs} does not have"
        return failed(note=note, symptoms=["client-newer"])
    return passed(note=f"mlflow {found}")


@declare_check(
    id="stock-client",
    title="The stock client trains, logs, registers, reloads and predicts",
    layer="client",
    group="registration",
    needs=("artifact-small", "multipart", "client-version?"),
    seconds=110,
)
async def stock_client(exam: Examination) -> Outcome:
    version = await stock.version(exam.target.python)
    if version is None:
        return skipped(_NO_CLIENT, optional=True)
    name = exam.name + "-stock"
    remove_model_later(exam, name)
    _remove_runs_later(exam, name)
    steps = await stock.register(exam.target.python, uri=exam.target.api, key=exam.facts.key, name=name)
    done = ", ".join(f"{step.name} {step.seconds:.1f} s" for step in steps if not step.error)
    broken = next((step for step in steps if step.error), None)
    if broken:
        note = f"mlflow {version}: {broken.name}: {broken.error}" + (f"; done: {done}" if done else "")
        return failed(note=note, symptoms=[f"stock-{broken.name}"])
    return passed(note=f"mlflow {version}: {done}")


def _remove_runs_later(exam: Examination, name: str) -> None:
    """The stock client's experiment, with its runs' files."""

    async def remove() -> str | None:
        found = await exam.get("experiments/get-by-name", experiment_name=name)
        experiment = found.document.get("experiment", {})
        if not found.ok or not experiment:
            return None
        root = str(experiment.get("artifact_location", "")).partition(":")[2].lstrip("/")
        if root:
            await exam.delete(f"{ARTIFACTS}/{root}")
        answer = await exam.post("experiments/delete", {"experiment_id": str(experiment.get("experiment_id"))})
        return None if answer.ok else f"experiment {name}"

    exam.cleanup.add(remove)
