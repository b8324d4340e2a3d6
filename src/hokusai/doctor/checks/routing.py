"""Group ``routing``: does each address lead to the service that should answer there?"""

from __future__ import annotations

import asyncio

from hokusai.doctor.answer import Answer, Who
from hokusai.doctor.check import Outcome, failed, passed, skipped
from hokusai.doctor.examination import FILES, V2, Examination
from hokusai.doctor.trouble import Trouble
from hokusai.mlflow_api import TRACKING_PREFIX

_SEARCH = V2 + "/experiments/search"
_NO_KEY, _ELSEWHERE = "HK1101", "HK2008"
_ONE = {"max_results": "1"}
_HOP = "203.0.113.77, "  # RFC 5737: belongs to nobody
_LINE_BYTES = 8140  # of a header's value; nginx and others take lines of 8 KiB
_TRIES = 3
_TRACKING_PARTS = {"tracking", "artifacts"}


async def health(exam: Examination) -> Outcome:
    """Without a key, as a load balancer asks."""
    found = await exam.ask("GET", "/health")
    if not found.ok:
        return failed(found, signs=["goes-round"] if await _goes_round(exam, found) else [])
    if exam.target.kind == "hokusai" and found.document.get("status") != "alive":
        return failed(found, note="something answers, and it is not Hokusai")
    return passed(found)


async def _goes_round(exam: Examination, found: Answer) -> bool:
    """Whether a request grows on its way: each hop adds to X-Forwarded-For, and here there is room for few."""
    if found.status < 500 and found.trouble is None:
        return False
    nearly_full = (_HOP * (_LINE_BYTES // len(_HOP))).rstrip(", ")
    for _ in range(_TRIES):  # a loop that is busy with other requests has no connection left for this one
        grown = await exam.ask("GET", "/health", headers={"X-Forwarded-For": nearly_full}, fresh=True)
        if grown.status in {400, 414, 431}:
            return True
        if grown.trouble is Trouble.SILENT or grown.seconds > 1 or grown.status >= 504:
            return False
        await asyncio.sleep(0.3)
    return False


async def ready(exam: Examination) -> Outcome:
    found = await exam.ask("GET", "/ready")
    parts = found.document.get("checks")
    if not isinstance(parts, dict):
        return failed(found, note="no list of parts", signs=["ready-not-ours"] if found.ok else [])
    down = {name: part for name, part in parts.items() if part.get("state") != "ok"}
    signs = {f"part-{name}" for name in parts} | {str(part.get("code")) for part in down.values()}
    signs |= {f"fault:{part['fault']}" for part in down.values() if part.get("fault")}
    if down or not found.document.get("ready"):
        told = "; ".join(f"{name}: {part.get('code')} {part.get('message')}" for name, part in down.items())
        return failed(found, note=told or "it is draining", signs=signs if down else signs | {"draining"})
    if parts.get("artifacts", {}).get("keeps") == "memory":
        return failed(found, note="artifacts are kept in memory", signs=signs | {"artifacts-memory"})
    if exam.target.auth_url and not parts.keys() >= _TRACKING_PARTS:
        return failed(found, note="an auth service answers on the registry's URL", signs=signs | {"auth-answers"})
    return passed(found, signs=signs)


async def console(exam: Examination) -> Outcome:
    found = await exam.ask("GET", "/")
    return passed(found) if found.ok and b"Hokusai" in found.body else failed(found)


async def api(exam: Examination) -> Outcome:
    """MLflow's API at the address stock clients are given."""
    if exam.target.kind == "mlflow":
        return await _plain_api(exam)
    url = exam.target.api + "/version"
    found = await exam.probe.ask("GET", url)
    if found.code == _NO_KEY:  # a path that is not public was made of it: with a key the refusal names it
        found = await exam.probe.ask("GET", url, key=exam.target.key or exam.target.operator_key)
    if found.ok and found.body[:2] in {b"2.", b"3."}:
        return passed(found)
    return failed(found, signs=_path_changed(found))


async def _plain_api(exam: Examination) -> Outcome:
    found = await exam.api("GET", _SEARCH, query=_ONE)
    if found.ok and ("experiments" in found.document or not found.document):
        return passed(found)
    if found.status != 404:
        return failed(found)
    twin = await exam.api("GET", _SEARCH.replace("/api/", "/ajax-api/"), query=_ONE)
    bare = await exam.api("GET", "/health")
    note = "the same route below /ajax-api answers" if twin.ok else ""
    return failed(twin, bare, found, note=note, signs=["ajax-answers"] if twin.ok else [])


async def artifacts_route(exam: Examination) -> Outcome:
    """The routes of files, which older MLflows keep apart from the others. Listing is reading."""
    found = await exam.api("GET", FILES, query={"path": exam.name})
    if found.status == 401 and exam.target.kind == "hokusai" and not exam.learnt.key:
        return skipped("no key: set HOKUSAI_API_KEY or HOKUSAI_OPERATOR_KEY")
    if (found.ok and "files" in found.document) or _nothing_there(found):
        return passed(found)
    return failed(found)


def _nothing_there(found: Answer) -> bool:
    """Old MLflows answer for a directory that is not there with an error of their disk."""
    return found.who is Who.MLFLOW and (found.ok or "RESOURCE_DOES_NOT_EXIST" in found.body.decode("utf-8", "replace"))


async def auth_host(exam: Examination) -> Outcome:
    """The auth service on its own URL, and no registry there."""
    if exam.target.auth_url is None:
        return skipped("no --auth-url: keys are kept behind the same URL", matters=False)
    alive = await exam.auth("GET", "/health", key=None)
    if not alive.ok:
        return failed(alive)
    described = await exam.auth("GET", "/api/v1/openapi.json", key=None)
    if not described.ok:
        here = ["registry-answers"] if described.code == _ELSEWHERE else []
        return failed(described, note="no auth service there", signs=here)
    stray = await exam.auth("GET", TRACKING_PREFIX + "/version", key=None)
    if stray.ok:
        return failed(stray, note="the registry's routes answer on the auth host", signs=["registry-answers"])
    return passed(alive, described, stray)


async def registry_host(exam: Examination) -> Outcome:
    """The registry's host keeps no keys where there is an auth host."""
    if exam.target.auth_url is None:
        return skipped("no --auth-url", matters=False)
    found = await exam.ask("GET", "/api/v1/keys/self", key=exam.learnt.key)
    if found.code == _ELSEWHERE or (found.status == 401 and found.who is Who.HOKUSAI and not exam.learnt.key):
        return passed(found)
    return failed(found, note="the auth service's routes answer on the registry's host", signs=["auth-answers"])


def _path_changed(found: Answer) -> list[str]:
    """Our refusal repeats the path that arrived: another than the one sent was made on the way."""
    if found.code == "HK1001" and found.message and f" {found.path}." not in found.message:
        return ["path-changed"]
    return []
