"""Groups ``auth`` and ``bearer``: is a good key good, and nothing else?"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from hokusai.apikey import Key, parse
from hokusai.doctor.answer import Answer, Who
from hokusai.doctor.check import Outcome, failed, passed, skipped
from hokusai.doctor.examination import V2, Examination

NO_KEY = "no key: set HOKUSAI_API_KEY or HOKUSAI_OPERATOR_KEY"
_MODELS = V2 + "/registered-models/search"
_ONE = {"max_results": "1"}
_DELETING = frozenset({"models:delete", "artifacts:delete"})
_SKEW_SECONDS = 60
_ELSEWHERE = "HK2008"
_NEEDED = frozenset({"runs:write", "models:write", "artifacts:write"})


async def key(exam: Examination) -> Outcome:
    """Who the key is. Without a key but with an operator's, a workspace and a key of its own are made."""
    if exam.learnt.key is None and exam.target.operator_key is None:
        return skipped(NO_KEY)
    if exam.learnt.key is None:
        made = await temporary_key(exam, exam.name, permissions=["admin"])
        if isinstance(made, Answer):
            return failed(made, note="the operator key cannot make a workspace and a key")
        exam.learnt.key = made
    found = await exam.auth("GET", "/api/v1/keys/self", key=exam.learnt.key)
    if found.code == _ELSEWHERE:
        return skipped(f"the keys are kept elsewhere: give --auth-url. {found.message}", matters=False)
    if not found.ok:
        return await _refused(exam, found)
    exam.learnt.permissions = frozenset(map(str, found.document.get("permissions") or ()))
    exam.learnt.workspace = found.document.get("workspace")
    return passed(found, note=_described(found))


async def _refused(exam: Examination, found: Answer) -> Outcome:
    """Where a key is said to be missing or none, and is one, see whether it arrives in another header."""
    if found.code not in {"HK1101", "HK1102"} or not isinstance(parse(str(exam.learnt.key)), Key):
        return failed(found)
    other = await exam.auth("GET", "/api/v1/keys/self", key=None, headers={"X-API-Key": str(exam.learnt.key)})
    seen = "none" if found.code == "HK1101" else "another"
    note = f"a key was sent, and the server saw {seen}" + (
        "; the same key in X-API-Key is accepted" if other.ok else ""
    )
    return failed(other, found, note=note, signs=["key-lost", *(["other-header-works"] if other.ok else [])])


def _described(found: Answer) -> str:
    facts = found.document
    expires = f", expires {facts['expires_at']}" if facts.get("expires_at") else ""
    return f"workspace {facts.get('workspace')}, {len(facts.get('permissions') or ())} permissions{expires}"


async def rights(exam: Examination) -> Outcome:
    """Whether the key may do what a registration takes."""
    if not exam.learnt.key:
        return skipped(NO_KEY)
    if not exam.learnt.permissions:
        return skipped("the auth service was not asked what the key may do", matters=False)
    await _provide_cleaner(exam)
    if exam.learnt.workspace is None:
        return failed(note="it is a platform key: it acts in no workspace", signs=["platform-key"])
    lacking = sorted(_NEEDED - exam.learnt.permissions)
    if lacking:
        return failed(note=f"the key lacks {', '.join(lacking)}", signs=["rights-lacking"])
    return passed(note=f"it has {', '.join(sorted(_NEEDED))}")


async def _provide_cleaner(exam: Examination) -> None:
    """An operator can have removed what a key that only writes would leave behind."""
    learnt = exam.learnt
    if exam.target.operator_key and learnt.workspace and not learnt.permissions >= _DELETING:
        made = await temporary_key(exam, learnt.workspace, permissions=["admin"], make=False)
        learnt.cleaner = made if isinstance(made, str) else None


async def strangers(exam: Examination) -> Outcome:
    """No key and a made-up key are both refused, by us, as 401."""
    url = exam.target.api + _MODELS
    for given, code in ((None, "HK1101"), ("hk_live_" + "0" * 38, "HK1102")):
        found = await exam.probe.ask("GET", url, key=given, query=_ONE)
        if found.ok:
            return failed(found, note="answered without a good key", signs=["open-door"])
        if found.status != 401 or found.code not in {code, "HK1103"}:
            return failed(found, note="not refused as it should be")
    return passed(found, note="none and a made-up one: both 401")


async def validate_closed(exam: Examination) -> Outcome:
    """Validation is no oracle for strangers."""
    found = await exam.auth("POST", "/api/v1/keys/validate", key=None, body={"service_id": "platform"})
    if found.status == 401 and found.who is Who.HOKUSAI:
        return passed(found)
    if found.code == _ELSEWHERE:
        return skipped("the keys are kept elsewhere, and no --auth-url was given", matters=False)
    return failed(found)


async def bearer(exam: Examination) -> Outcome:
    """A search with the key, as stock clients send it, below both prefixes."""
    if exam.target.kind == "mlflow":
        return await _plain(exam)
    if not exam.learnt.key:
        return skipped(NO_KEY)
    found = await exam.get("registered-models/search", **_ONE)
    if not found.ok:
        return failed(found)
    bare = await exam.ask("GET", _MODELS, key=exam.learnt.key, query=_ONE)
    return passed(found, bare) if bare.ok else failed(bare, note="below /api/mlflow it works")


async def _plain(exam: Examination) -> Outcome:
    found = await exam.get("registered-models/search", **_ONE)
    return passed(found) if found.ok else failed(found)


async def other_headers(exam: Examination) -> Outcome:
    """The other two places a key may stand."""
    if not exam.learnt.key:
        return skipped(NO_KEY)
    basic = base64.b64encode(f"anybody:{exam.learnt.key}".encode()).decode()
    for head in ({"Authorization": f"Basic {basic}"}, {"X-API-Key": exam.learnt.key}):
        found = await exam.ask("GET", _MODELS, headers=head, query=_ONE)
        if not found.ok:
            return failed(found, note=f"with the key in {next(iter(head))}")
    return passed(note="Basic and X-API-Key: both accepted")


async def clock(exam: Examination) -> Outcome:
    """The server's clock (the ``Date`` header, RFC 9110, 6.6.1) and this machine's."""
    found = await exam.ask("GET", "/health")
    try:
        theirs = parsedate_to_datetime(found.headers.get("date", ""))
    except ValueError:
        return skipped("the answer has no Date header", matters=False)
    apart = (theirs - datetime.now(UTC)).total_seconds()
    note = f"{abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} this machine"
    return passed(note=note) if abs(apart) <= _SKEW_SECONDS else failed(note=note, signs=["clocks-apart"])


async def temporary_key(
    exam: Examination, workspace: str, *, permissions: list[str], make: bool = True, **facts: object
) -> str | Answer:
    """A key that is revoked at the end, in a new workspace if ``make``; or the answer that refused it."""
    if make and (refused := await _make(exam, workspace)):
        return refused
    body = {"name": exam.name, "workspace": workspace, "permissions": permissions, "expires": "1h", **facts}

    async def revoke(made: Answer) -> str | None:
        if not made.ok:
            return f"a key named {exam.name}, if one was made" if made.trouble else None
        key_id = made.document.get("key_id")
        answer = await exam.auth("DELETE", f"/api/v1/keys/{key_id}")
        return None if answer.ok else f"key {key_id}"

    found = await exam.cleanup.made(exam.auth("POST", "/api/v1/keys", body=body), revoke)
    made = found.document.get("key")
    return made if found.ok and isinstance(made, str) else found


async def _make(exam: Examination, workspace: str) -> Answer | None:
    async def remove() -> str | None:
        answer = await exam.auth("DELETE", f"/api/v1/workspaces/{workspace}")
        if answer.ok or answer.code == "HK2001":
            return None
        suspended = await exam.auth("POST", f"/api/v1/workspaces/{workspace}/suspend")
        return None if suspended.code == "HK2001" else f"workspace {workspace}" + " (suspended)" * suspended.ok

    exam.cleanup.add(remove)
    found = await exam.auth("POST", "/api/v1/workspaces", body={"name": workspace})
    return None if found.ok else found
