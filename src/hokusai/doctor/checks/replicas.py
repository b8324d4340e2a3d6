"""Groups ``limits`` and ``proxy``: what only several requests show."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from hokusai.doctor.checks.keys import NO_OPERATOR_KEY, temporary_key
from hokusai.doctor.checks.network import REACHABLE
from hokusai.doctor.examination import (
    HOKUSAI_ONLY,
    Examination,
    Outcome,
    declare_check,
    failed,
    passed,
    skipped,
)
from hokusai.doctor.probe import Answer
from hokusai.mlflow_api import V2

_MAX_ROUNDS, _MIN_ROUNDS = 12, 4
_ROUNDS_SECONDS = 5
_RATE = 20
_TOLERANCE = 2
_ONE = {"max_results": "1"}
_MODELS = V2 + "/registered-models/search"
#: Answers that say "not known here": a replica without the others' database or disk gives them.
_UNKNOWN_HERE = {401, 403, 404}
_TOO_MANY = 429


@declare_check(
    id="steady",
    title="All replicas give the same answers",
    layer="load-balancer",
    group="limits",
    needs=REACHABLE,
    seconds=30,
)
async def steady(exam: Examination) -> Outcome:
    """The same requests, each on a new connection, so that a load balancer chooses a replica for each."""
    public = "/version" if exam.target.kind == "hokusai" else "/health"
    anonymous = await _repeated(lambda: exam.ask("GET", public, fresh=True))
    has_key = exam.facts.key or exam.target.kind == "mlflow"
    with_key = await _repeated(lambda: exam.api("GET", _MODELS, query=_ONE, fresh=True)) if has_key else []
    if outcome := _differing(anonymous) or _differing(with_key):
        return outcome
    versions = {one.text for one in anonymous}
    if len(versions) > 1:
        note = "replicas run different versions: " + ", ".join(sorted(versions))
        return failed(anonymous[0], note=note, symptoms=["versions-differ"])
    count = len(anonymous) + len(with_key)
    return passed(note=f"{count} requests, each on a new connection: all answers agree")


async def _repeated(ask: Callable[[], Awaitable[Answer]]) -> list[Answer]:
    """``_MAX_ROUNDS`` answers; but fewer, from ``_MIN_ROUNDS`` on, if they take long or none is good."""
    answers: list[Answer] = []
    end = time.monotonic() + _ROUNDS_SECONDS
    while len(answers) < _MAX_ROUNDS:
        answers.append(await ask())
        is_late = time.monotonic() > end or not any(one.ok for one in answers)
        if is_late and len(answers) >= _MIN_ROUNDS:
            break
    return answers


def _differing(answers: list[Answer]) -> Outcome | None:
    """The failure where not all of the same requests succeeded. A rate that is used up says nothing about replicas."""
    bad = [one for one in answers if not one.ok]
    if not bad:
        return None
    if len(bad) == len(answers):
        return failed(bad[0], note="every request fails")
    symptoms = [] if bad[0].status == _TOO_MANY else [_symptom(bad[0], _UNKNOWN_HERE)]
    return failed(bad[0], note=f"{len(bad)} of {len(answers)} identical requests fail", symptoms=symptoms)


def _symptom(bad: Answer, unknown_here: set[int]) -> str:
    return "replicas-disagree" if bad.status in unknown_here else "replica-broken"


@declare_check(
    id="same-files",
    title="All replicas have the same files",
    layer="artifacts",
    group="limits",
    needs=("artifact-small",),
    seconds=30,
)
async def same_files(exam: Examination) -> Outcome:
    """A file that was uploaded over one connection is there on every other."""
    path = next(iter(exam.facts.sent))
    found = await _repeated(lambda: exam.file("GET", path, fresh=True))
    bad = [one for one in found if not one.ok]
    if bad:
        note = f"missing in {len(bad)} of {len(found)} requests"
        return failed(bad[0], note=note, symptoms=[_symptom(bad[0], {404})])
    return passed(note=f"found in {len(found)} of {len(found)} requests")


@declare_check(
    id="rate",
    title="A key's rate limit is enforced",
    layer="gateway",
    group="limits",
    needs=("bearer",),
    kinds=HOKUSAI_ONLY,
    seconds=30,
)
async def rate(exam: Examination) -> Outcome:
    """A key with a rate of ``_RATE`` an hour is refused after that many requests, whichever replicas they reach."""
    if not exam.target.operator_key or not exam.facts.workspace:
        return skipped(NO_OPERATOR_KEY, optional=True)
    key = await temporary_key(exam, exam.facts.workspace, permissions=["read"], rate=f"{_RATE}/h")
    if isinstance(key, Answer):
        return failed(key)
    for count in range(2 * _RATE):
        found = await exam.probe.ask("GET", exam.target.api + _MODELS, key=key, query=_ONE, fresh=True)
        if found.status == _TOO_MANY:
            return _refused_after(count, found)
        if not found.ok:
            return failed(found)
    return _refused_after(2 * _RATE, found)


def _refused_after(count: int, found: Answer) -> Outcome:
    if count > _RATE + _TOLERANCE:
        return failed(found, note=f"{count} requests pass where {_RATE} may", symptoms=["limits-apart"])
    if "retry-after" not in found.headers:
        return failed(found, note="refused without Retry-After")
    return passed(found, note=f"refused after {count} requests, Retry-After {found.headers['retry-after']}")
