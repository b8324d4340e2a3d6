"""Groups ``auth`` and ``bearer``: is a valid key accepted, and nothing else?"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from hokusai.apikey import Key, parse
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
from hokusai.doctor.probe import Answer, Responder
from hokusai.mlflow_api import V2

NO_KEY = "no key: set HOKUSAI_API_KEY or HOKUSAI_OPERATOR_KEY"
NO_OPERATOR_KEY = "no operator key: set HOKUSAI_OPERATOR_KEY"
_MODELS = V2 + "/registered-models/search"
_ONE = {"max_results": "1"}
_DELETE_PERMISSIONS = frozenset({"models:delete", "artifacts:delete"})
_MAX_SKEW_SECONDS = 60
_KEYS_ELSEWHERE, _TOO_MANY_BAD_KEYS = "HK2008", "HK1306"
_NEEDED_PERMISSIONS = frozenset({"runs:write", "models:write", "artifacts:write"})


@declare_check(id="key", title="The key is valid", layer="auth", group="auth", needs=REACHABLE, kinds=HOKUSAI_ONLY)
async def key(exam: Examination) -> Outcome:
    """Asks what the key is. With an operator key only, a workspace and a key are made for the examination."""
    if exam.facts.key is None and exam.target.operator_key is None:
        return skipped(NO_KEY)
    if exam.facts.key is None:
        made = await temporary_key(exam, exam.name, permissions=["admin"], new_workspace=True)
        if isinstance(made, Answer):
            return failed(made, note="the operator key cannot create a workspace and a key")
        exam.facts.key = made
    found = await exam.auth("GET", "/api/v1/keys/self", key=exam.facts.key)
    if found.code == _KEYS_ELSEWHERE:
        return skipped(f"another service keeps the keys: give --auth-url. {found.message}", optional=True)
    if not found.ok:
        return await _refused(exam, found)
    exam.facts.permissions = frozenset(map(str, found.document.get("permissions") or ()))
    exam.facts.workspace = found.document.get("workspace")
    return passed(found, note=_described(found))


async def _refused(exam: Examination, found: Answer) -> Outcome:
    """If the server saw no key or a broken one, but a well-formed one was sent: does it arrive in another header?"""
    if found.code not in {"HK1101", "HK1102"} or not isinstance(parse(str(exam.facts.key)), Key):
        return failed(found)
    other = await exam.auth("GET", "/api/v1/keys/self", key=None, headers={"X-API-Key": str(exam.facts.key)})
    seen = "no key" if found.code == "HK1101" else "another one"
    note = f"a key was sent, and the server saw {seen}"
    if other.ok:
        note += "; the same key in X-API-Key is accepted"
    return failed(other, found, note=note, symptoms=["key-lost", *(["other-header-works"] if other.ok else [])])


def _described(found: Answer) -> str:
    facts = found.document
    expires = f", expires {facts['expires_at']}" if facts.get("expires_at") else ""
    return f"workspace {facts.get('workspace')}, {len(facts.get('permissions') or ())} permissions{expires}"


@declare_check(
    id="rights", title="The key may register models", layer="auth", group="auth", needs=("key",), kinds=HOKUSAI_ONLY
)
async def rights(exam: Examination) -> Outcome:
    if not exam.facts.key:
        return skipped(NO_KEY)
    if not exam.facts.permissions:
        return skipped("the auth service was not asked for the key's permissions", optional=True)
    await _provide_cleanup_key(exam)
    if exam.facts.workspace is None:
        return failed(note="it is a platform key, which belongs to no workspace", symptoms=["platform-key"])
    lacking = sorted(_NEEDED_PERMISSIONS - exam.facts.permissions)
    if lacking:
        return failed(note=f"the key lacks {', '.join(lacking)}", symptoms=["rights-lacking"])
    return passed(note=f"it has {', '.join(sorted(_NEEDED_PERMISSIONS))}")


async def _provide_cleanup_key(exam: Examination) -> None:
    """With an operator key, things that the given key may not delete are deleted with another key."""
    facts = exam.facts
    if exam.target.operator_key and facts.workspace and not facts.permissions >= _DELETE_PERMISSIONS:
        made = await temporary_key(exam, facts.workspace, permissions=["admin"])
        facts.cleanup_key = made if isinstance(made, str) else None


@declare_check(
    id="strangers",
    title="Requests without a valid key are refused",
    layer="gateway",
    group="auth",
    needs=("api",),
    kinds=HOKUSAI_ONLY,
)
async def strangers(exam: Examination) -> Outcome:
    """No key and a made-up key are both refused, by Hokusai. After too many bad keys that is a 429."""
    url = exam.target.api + _MODELS
    for given, code in ((None, "HK1101"), ("hk_live_" + "0" * 38, "HK1102")):
        found = await exam.probe.ask("GET", url, key=given, query=_ONE)
        if found.ok:
            return failed(found, note="answered without a valid key", symptoms=["open-door"])
        if not (found.status == 401 and found.code in {code, "HK1103"}) and found.code != _TOO_MANY_BAD_KEYS:
            return failed(found, note="this is not Hokusai's refusal of a missing or unknown key")
    return passed(found, note="no key and a made-up key: both are refused")


@declare_check(
    id="validate",
    title="Only services can validate keys",
    layer="auth",
    group="auth",
    needs=REACHABLE,
    kinds=HOKUSAI_ONLY,
)
async def validate_closed(exam: Examination) -> Outcome:
    """Nobody without a key of their own can find out whether some other key is valid."""
    found = await exam.auth("POST", "/api/v1/keys/validate", key=None, body={"service_id": "platform"})
    if found.status == 401 and found.responder is Responder.HOKUSAI:
        return passed(found)
    if found.code == _KEYS_ELSEWHERE:
        return skipped("another service keeps the keys, and no --auth-url was given", optional=True)
    return failed(found)


@declare_check(
    id="bearer",
    title="A search with the key succeeds",
    layer="gateway",
    group="bearer",
    needs=("api", "key?", "rights?"),
)
async def bearer(exam: Examination) -> Outcome:
    """A search with the key, as stock clients send it, below both prefixes."""
    if exam.target.kind == "hokusai" and not exam.facts.key:
        return skipped(NO_KEY)
    found = await exam.get("registered-models/search", **_ONE)
    if not found.ok or exam.target.kind == "mlflow":
        return passed(found) if found.ok else failed(found)
    bare = await exam.ask("GET", _MODELS, key=exam.facts.key, query=_ONE)
    return passed(found, bare) if bare.ok else failed(bare, note="below /api/mlflow it succeeds")


@declare_check(
    id="other-headers",
    title="Basic and X-API-Key carry the key too",
    layer="proxy",
    group="bearer",
    needs=("bearer",),
    kinds=HOKUSAI_ONLY,
)
async def other_headers(exam: Examination) -> Outcome:
    """The two other headers that may carry a key."""
    if not exam.facts.key:
        return skipped(NO_KEY)
    basic = base64.b64encode(f"anybody:{exam.facts.key}".encode()).decode()
    for head in ({"Authorization": f"Basic {basic}"}, {"X-API-Key": exam.facts.key}):
        found = await exam.ask("GET", _MODELS, headers=head, query=_ONE)
        if not found.ok:
            return failed(found, note=f"with the key in {next(iter(head))}")
    return passed(note="Basic and X-API-Key: both are accepted")


@declare_check(id="clock", title="The clocks agree", layer="auth", group="auth", needs=REACHABLE)
async def clock(exam: Examination) -> Outcome:
    """The server's clock (the ``Date`` header, RFC 9110, 6.6.1) and this machine's."""
    found = await exam.ask("GET", "/health")
    try:
        theirs = parsedate_to_datetime(found.headers.get("date", ""))
    except ValueError:
        return skipped("the answer has no Date header", optional=True)
    ahead = (theirs - datetime.now(UTC)).total_seconds()
    note = f"the server is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine"
    return passed(note=note) if abs(ahead) <= _MAX_SKEW_SECONDS else failed(note=note, symptoms=["clocks-apart"])


async def temporary_key(
    exam: Examination, workspace: str, *, permissions: list[str], new_workspace: bool = False, **facts: object
) -> str | Answer:
    """A key that is revoked at the end, in a workspace that is made for it if ``new_workspace``; or the refusal."""
    if new_workspace and (refused := await _make_workspace(exam, workspace)):
        return refused
    body = {"name": exam.name, "workspace": workspace, "permissions": permissions, "expires": "1h", **facts}

    async def revoke(made: Answer) -> str | None:
        if not made.ok:
            return f"a key named {exam.name}, if one was created" if made.failure else None
        key_id = made.document.get("key_id")
        answer = await exam.auth("DELETE", f"/api/v1/keys/{key_id}")
        return None if answer.ok else f"key {key_id}"

    found = await exam.cleanup.after(exam.auth("POST", "/api/v1/keys", body=body), revoke)
    made = found.document.get("key")
    return made if found.ok and isinstance(made, str) else found


async def _make_workspace(exam: Examination, workspace: str) -> Answer | None:
    """Makes a workspace that is deleted at the end. Returns the answer that refused it."""

    async def remove() -> str | None:
        answer = await exam.auth("DELETE", f"/api/v1/workspaces/{workspace}")
        if answer.ok or answer.code == "HK2001":
            return None
        suspended = await exam.auth("POST", f"/api/v1/workspaces/{workspace}/suspend")
        return None if suspended.code == "HK2001" else f"workspace {workspace}" + " (suspended)" * suspended.ok

    exam.cleanup.add(remove)
    found = await exam.auth("POST", "/api/v1/workspaces", body={"name": workspace})
    return None if found.ok else found
