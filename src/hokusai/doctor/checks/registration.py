"""Group ``registration``: from a model's files to a registered version, and back to the same files."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time

from hokusai.doctor.examination import Examination, Outcome, declare_check, failed, passed
from hokusai.doctor.probe import Answer
from hokusai.mlflow_api import ARTIFACTS_SCHEME, V2

_READY_SECONDS = 20
_MODEL = (
    "flavors:\n  hokusai_doctor:\n    weights: weights.json\nmodel_uuid: {uuid}\n"
    "utc_time_created: '2026-01-01 00:00:00.000000'\n"
)


@declare_check(
    id="register",
    title="A model version is registered",
    layer="tracking",
    group="registration",
    needs=("artifact-small",),
)
async def register(exam: Examination) -> Outcome:
    """A model's files, its name and its first version."""
    facts = exam.facts
    files = {
        "MLmodel": _MODEL.format(uuid=facts.run).encode(),
        "weights.json": json.dumps({"coefficients": [1.0, -2.0, 0.5]}).encode(),
    }
    for name, content in files.items():
        path = f"{facts.root}/doctor/model/{name}"
        sent = await exam.file("PUT", path, content=content)
        if not sent.ok:
            return failed(sent)
        facts.sent[path] = hashlib.sha256(content).hexdigest()
    facts.model = exam.name
    remove_model_later(exam, facts.model)
    made = await exam.post("registered-models/create", {"name": facts.model})
    if not made.ok:
        return failed(made)
    source = f"{ARTIFACTS_SCHEME}{facts.root}/doctor/model"
    version = await exam.post("model-versions/create", {"name": facts.model, "source": source, "run_id": facts.run})
    facts.version = str(version.document.get("model_version", {}).get("version", ""))
    return passed(version) if version.ok and facts.version else failed(version)


@declare_check(
    id="version-ready",
    title="The version becomes READY",
    layer="admission",
    group="registration",
    needs=("register",),
    seconds=30,
)
async def becomes_ready(exam: Examination) -> Outcome:
    end = time.monotonic() + _READY_SECONDS
    while True:
        found = await exam.get("model-versions/get", name=exam.facts.model, version=exam.facts.version)
        version = found.document.get("model_version", {})
        status = version.get("status")
        if not found.ok or status == "FAILED_REGISTRATION":
            return failed(found, note=str(version.get("status_message") or ""))
        if status == "READY":
            return passed(found, note="READY")
        if time.monotonic() >= end:
            return failed(found, note=f"still {status} after {_READY_SECONDS} s", symptoms=["stays-pending"])
        await asyncio.sleep(0.5)


@declare_check(
    id="reload",
    title="The latest version is found and unchanged",
    layer="artifacts",
    group="registration",
    needs=("version-ready",),
)
async def reload(exam: Examination) -> Outcome:
    """Found by a search and as the latest version, with exactly the bytes that were sent."""
    facts = exam.facts
    found = await exam.get("model-versions/search", filter=f"name = '{facts.model}'")
    if not found.ok or not found.document.get("model_versions"):
        return failed(found, note="the search does not find it")
    latest = await exam.get("registered-models/get-latest-versions", name=facts.model)
    versions = latest.document.get("model_versions") or [{}]
    if not latest.ok or str(versions[0].get("version")) != facts.version:
        return failed(latest, note="the latest version is not the one that was just registered")
    return await _unchanged(exam)


async def _unchanged(exam: Examination) -> Outcome:
    answers: list[Answer] = []
    for path, digest in exam.facts.sent.items():
        found = await exam.file("GET", path)
        if not found.ok or found.sha256 != digest:
            symptoms = ["download-differs"] if found.status == 200 else []
            return failed(found, note="these are not the bytes that were registered", symptoms=symptoms)
        answers.append(found)
    return passed(*answers, note=f"{len(answers)} files, all with the right SHA-256")


def remove_model_later(exam: Examination, name: str) -> None:
    async def remove() -> str | None:
        answer = await exam.delete(f"{V2}/registered-models/delete", body={"name": name})
        if answer.code == "HK1201":
            return f"model {name}: the key lacks models:delete"
        return None if answer.ok or answer.status == 404 else f"model {name}"

    exam.cleanup.add(remove)
