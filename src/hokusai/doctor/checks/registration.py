"""Group ``registration``: a stranger's whole way, from files to the same files again."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time

from hokusai.doctor import stock
from hokusai.doctor.answer import Answer
from hokusai.doctor.check import Outcome, failed, passed, skipped
from hokusai.doctor.examination import FILES, V2, Examination
from hokusai.mlflow_api import ARTIFACTS_SCHEME

READY_SECONDS = 20
_MODEL = (
    "flavors:\n  hokusai_doctor:\n    weights: weights.json\nmodel_uuid: {uuid}\n"
    "utc_time_created: '2026-01-01 00:00:00.000000'\n"
)


async def register(exam: Examination) -> Outcome:
    """A model's files, its name, its first version."""
    learnt = exam.learnt
    files = {
        "MLmodel": _MODEL.format(uuid=learnt.run).encode(),
        "weights.json": json.dumps({"coefficients": [1.0, -2.0, 0.5]}).encode(),
    }
    for name, content in files.items():
        path = f"{learnt.root}/doctor/model/{name}"
        sent = await exam.file("PUT", path, content=content)
        if not sent.ok:
            return failed(sent)
        learnt.sent[path] = hashlib.sha256(content).hexdigest()
    learnt.model = exam.name
    forget_model(exam, learnt.model)
    made = await exam.post("registered-models/create", {"name": learnt.model})
    if not made.ok:
        return failed(made)
    source = f"{ARTIFACTS_SCHEME}{learnt.root}/doctor/model"
    version = await exam.post("model-versions/create", {"name": learnt.model, "source": source, "run_id": learnt.run})
    learnt.version = str(version.document.get("model_version", {}).get("version", ""))
    return passed(version) if version.ok and learnt.version else failed(version)


async def becomes_ready(exam: Examination) -> Outcome:
    until = time.monotonic() + READY_SECONDS
    while True:
        found = await exam.get("model-versions/get", name=exam.learnt.model, version=exam.learnt.version)
        version = found.document.get("model_version", {})
        if not found.ok or version.get("status") == "FAILED_REGISTRATION":
            return failed(found, note=str(version.get("status_message") or ""))
        if version.get("status") == "READY":
            return passed(found, note="READY")
        if time.monotonic() >= until:
            note = f"still {version.get('status')} after {READY_SECONDS} s"
            return failed(found, note=note, signs=["stays-pending"])
        await asyncio.sleep(0.5)


async def reload(exam: Examination) -> Outcome:
    """Found by search, fetched as ``latest``, byte for byte what was sent."""
    learnt = exam.learnt
    found = await exam.get("model-versions/search", filter=f"name = '{learnt.model}'")
    if not found.ok or not found.document.get("model_versions"):
        return failed(found, note="the search does not find it")
    latest = await exam.get("registered-models/get-latest-versions", name=learnt.model)
    versions = latest.document.get("model_versions") or [{}]
    if not latest.ok or str(versions[0].get("version")) != learnt.version:
        return failed(latest, note="the latest version is not the one just made")
    return await _the_same(exam)


async def _the_same(exam: Examination) -> Outcome:
    seen: list[Answer] = []
    for path, digest in exam.learnt.sent.items():
        seen.append(await exam.file("GET", path))
        if not seen[-1].ok or seen[-1].sha256 != digest:
            signs = ["download-differs"] if seen[-1].status == 200 else []
            return failed(seen[-1], note="not the bytes that were registered", signs=signs)
    return passed(*seen, note=f"{len(seen)} files, each with its SHA-256")


async def stock_client(exam: Examination) -> Outcome:
    """Train, log, upload, register, wait, find, reload, predict, with the MLflow client that is installed."""
    version = await stock.version(exam.target.python)
    if version is None:
        return skipped("no MLflow client here; the same round was made by our own requests", matters=False)
    name = exam.name + "-stock"
    forget_model(exam, name)
    _forget_runs(exam, name)
    steps = await stock.registration(exam.target.python, uri=exam.target.api, key=exam.learnt.key, name=name)
    told = ", ".join(f"{step.name} {step.seconds:.1f} s" for step in steps)
    broken = next((step for step in steps if step.error), None)
    if broken:
        return failed(note=f"mlflow {version}: {broken.name}: {broken.error}", signs=[f"stock-{broken.name}"])
    return passed(note=f"mlflow {version}: {told}")


def forget_model(exam: Examination, name: str) -> None:
    async def remove() -> str | None:
        answer = await exam.clean("DELETE", f"{V2}/registered-models/delete", body={"name": name})
        if answer.code == "HK1201":
            return f"model {name}: the key lacks models:delete"
        return None if answer.ok or answer.status == 404 else f"model {name}"

    exam.cleanup.add(remove)


def _forget_runs(exam: Examination, name: str) -> None:
    """The experiment of the stock client, with its runs' files."""

    async def remove() -> str | None:
        found = await exam.get("experiments/get-by-name", experiment_name=name)
        experiment = found.document.get("experiment", {})
        if not found.ok or not experiment:
            return None
        root = str(experiment.get("artifact_location", "")).partition(":")[2].lstrip("/")
        if root:
            await exam.clean("DELETE", f"{FILES}/{root}")
        answer = await exam.post("experiments/delete", {"experiment_id": str(experiment.get("experiment_id"))})
        return None if answer.ok else f"experiment {name}"

    exam.cleanup.add(remove)
