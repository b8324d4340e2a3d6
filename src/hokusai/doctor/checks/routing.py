"""Group ``routing``: does each address lead to the service that should answer there?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from hokusai.doctor.checks.keys import NO_KEY
from hokusai.doctor.checks.network import REACHABLE
from hokusai.doctor.examination import (
    HOKUSAI_ONLY,
    Examination,
    Outcome,
    Target,
    declare_check,
    failed,
    passed,
    skipped,
)
from hokusai.doctor.probe import Answer, ConnectionFailure, Responder
from hokusai.mlflow_api import ARTIFACTS, TRACKING_PREFIX, V2

_SEARCH = V2 + "/experiments/search"
_KEY_MISSING, _KEYS_ELSEWHERE = "HK1101", "HK2008"
_ONE = {"max_results": "1"}
_HOP = "203.0.113.77, "  # RFC 5737: an address for documentation
_LINE_BYTES = 8140  # of a header's value; nginx and others accept lines of 8 KiB
_MAX_TRIES = 3
_REGISTRY_PARTS = {"tracking", "artifacts"}


@declare_check(
    id="health", title="/health answers without a key", layer="load-balancer", group="routing", needs=REACHABLE
)
async def health(exam: Examination) -> Outcome:
    """Without a key, as a load balancer asks."""
    found = await exam.ask("GET", "/health")
    if not found.ok:
        return failed(found, symptoms=["goes-round"] if await _goes_round(exam, found) else [])
    if exam.target.kind == "hokusai" and found.document.get("status") != "alive":
        return failed(found, note="something answers, but it is not Hokusai")
    return passed(found)


async def _goes_round(exam: Examination, found: Answer) -> bool:
    """Whether a request goes round in a loop: each hop extends X-Forwarded-For, which is nearly full here."""
    if found.status < 500 and found.failure is None:
        return False
    nearly_full = (_HOP * (_LINE_BYTES // len(_HOP))).rstrip(", ")
    for _ in range(_MAX_TRIES):  # a loop that is busy with other requests has no connection left for this one
        grown = await exam.ask("GET", "/health", headers={"X-Forwarded-For": nearly_full}, fresh=True)
        if grown.status in {400, 414, 431}:
            return True
        if grown.failure is ConnectionFailure.SILENT or grown.seconds > 1 or grown.status >= 504:
            return False
        await asyncio.sleep(0.3)
    return False


@declare_check(
    id="ready",
    title="/ready reports every part as up",
    layer="gateway",
    group="routing",
    needs=REACHABLE,
    kinds=HOKUSAI_ONLY,
)
async def ready(exam: Examination) -> Outcome:
    found = await exam.ask("GET", "/ready")
    parts = found.document.get("checks")
    if not isinstance(parts, dict):
        return failed(found, note="the answer lists no parts", symptoms=["ready-not-ours"] if found.ok else [])
    down = {name: part for name, part in parts.items() if part.get("state") != "ok"}
    symptoms = {f"part-{name}" for name in parts}
    symptoms |= {str(part.get("code")) for part in down.values()}
    symptoms |= {f"fault:{part['fault']}" for part in down.values() if part.get("fault")}
    for note, more in _problems(found, parts, down, exam.target):
        return failed(found, note=note, symptoms=symptoms | more)
    return passed(found, symptoms=symptoms)


def _problems(
    found: Answer, parts: Mapping[str, Any], down: Mapping[str, Any], target: Target
) -> Iterator[tuple[str, set[str]]]:
    """What is wrong, with the symptoms of it; the first is reported."""
    if down:
        yield "; ".join(f"{name}: {part.get('code')} {part.get('message')}" for name, part in down.items()), set()
    if not found.document.get("ready"):
        yield "the server is shutting down", {"draining"}
    if parts.get("artifacts", {}).get("keeps") == "memory":
        yield "artifacts are kept in memory", {"artifacts-memory"}
    if target.auth_url and not parts.keys() >= _REGISTRY_PARTS:
        yield "an auth service answers on the registry's URL", {"auth-answers"}


@declare_check(
    id="console",
    title="The home page answers",
    layer="load-balancer",
    group="routing",
    needs=REACHABLE,
    kinds=HOKUSAI_ONLY,
)
async def console(exam: Examination) -> Outcome:
    found = await exam.ask("GET", "/")
    return passed(found) if found.ok and b"Hokusai" in found.body else failed(found)


@declare_check(
    id="api", title="MLflow's API is where clients expect it", layer="proxy", group="routing", needs=REACHABLE
)
async def api(exam: Examination) -> Outcome:
    if exam.target.kind == "mlflow":
        return await _plain_api(exam)
    url = exam.target.api + "/version"
    found = await exam.probe.ask("GET", url)
    if found.code == _KEY_MISSING:  # another, not public path arrived: with a key, the refusal names it
        found = await exam.probe.ask("GET", url, key=exam.target.key or exam.target.operator_key)
    if found.ok and found.body[:2] in {b"2.", b"3."}:
        return passed(found)
    return failed(found, symptoms=_path_changed(found))


async def _plain_api(exam: Examination) -> Outcome:
    found = await exam.api("GET", _SEARCH, query=_ONE)
    if found.ok and ("experiments" in found.document or not found.document):
        return passed(found)
    if found.status != 404:
        return failed(found)
    twin = await exam.api("GET", _SEARCH.replace("/api/", "/ajax-api/"), query=_ONE)
    bare = await exam.api("GET", "/health")
    note = "the same route below /ajax-api answers" if twin.ok else ""
    return failed(twin, bare, found, note=note, symptoms=["ajax-answers"] if twin.ok else [])


def _path_changed(found: Answer) -> list[str]:
    """Hokusai's refusal repeats the path that arrived. If it is not the one that was sent, a proxy changed it."""
    if found.code == "HK1001" and found.message and f" {found.path}." not in found.message:
        return ["path-changed"]
    return []


@declare_check(
    id="artifacts-route", title="The artifact routes answer", layer="artifacts", group="artifacts", needs=("bearer",)
)
async def artifacts_route(exam: Examination) -> Outcome:
    """Lists artifacts: these routes are separate from the others in older versions of MLflow."""
    found = await exam.api("GET", ARTIFACTS, query={"path": exam.name})
    if found.status == 401 and exam.target.kind == "hokusai" and not exam.facts.key:
        return skipped(NO_KEY)
    if (found.ok and "files" in found.document) or _no_such_directory(found):
        return passed(found)
    return failed(found)


def _no_such_directory(found: Answer) -> bool:
    """Old versions of MLflow answer for a missing directory with an error of their disk."""
    return found.responder is Responder.MLFLOW and (found.ok or "RESOURCE_DOES_NOT_EXIST" in found.text)


@declare_check(
    id="auth-host",
    title="The auth host serves keys and no models",
    layer="load-balancer",
    group="routing",
    kinds=HOKUSAI_ONLY,
)
async def auth_host(exam: Examination) -> Outcome:
    if exam.target.auth_url is None:
        return skipped("no --auth-url: the same URL serves the keys", optional=True)
    alive = await exam.auth("GET", "/health", key=None)
    if not alive.ok:
        return failed(alive)
    described = await exam.auth("GET", "/api/v1/openapi.json", key=None)
    if not described.ok:
        symptoms = ["registry-answers"] if described.code == _KEYS_ELSEWHERE else []
        return failed(described, note="there is no auth service at this URL", symptoms=symptoms)
    stray = await exam.auth("GET", TRACKING_PREFIX + "/version", key=None)
    if stray.ok:
        return failed(stray, note="the registry's routes answer on the auth host", symptoms=["registry-answers"])
    return passed(alive, described, stray)


@declare_check(
    id="registry-host",
    title="The registry host serves no keys",
    layer="load-balancer",
    group="routing",
    needs=("api",),
    kinds=HOKUSAI_ONLY,
)
async def registry_host(exam: Examination) -> Outcome:
    if exam.target.auth_url is None:
        return skipped("no --auth-url", optional=True)
    found = await exam.ask("GET", "/api/v1/keys/self", key=exam.facts.key)
    refused = found.status == 401 and found.responder is Responder.HOKUSAI and not exam.facts.key
    if found.code == _KEYS_ELSEWHERE or refused:
        return passed(found)
    return failed(found, note="the auth service's routes answer on the registry host", symptoms=["auth-answers"])
