"""Groups ``limits``, ``isolation`` and ``release``: what takes more than one request, key or server to see."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable

from hokusai import mlflow_api
from hokusai.doctor import server_log
from hokusai.doctor.answer import Answer
from hokusai.doctor.check import Outcome, failed, passed, skipped
from hokusai.doctor.checks.keys import temporary_key
from hokusai.doctor.examination import V2, Examination

ROUNDS = 12
_ENOUGH = 4
_RATE = 20
_ONE = {"max_results": "1"}
_MODELS = V2 + "/registered-models/search"
NO_OPERATOR = "no operator key: set HOKUSAI_OPERATOR_KEY"
_SPOOFED = "203.0.113.77"  # RFC 5737: belongs to nobody


async def steady(exam: Examination) -> Outcome:
    """The same requests on new connections: every replica says the same."""
    public = "/version" if exam.target.kind == "hokusai" else "/health"
    alive = await _again(lambda: exam.ask("GET", public, fresh=True))
    known = await _again(lambda: exam.api("GET", _MODELS, query=_ONE, fresh=True)) if _may_ask(exam) else []
    for answers in (alive, known):
        good = [one for one in answers if one.ok]
        bad = [one for one in answers if not one.ok]
        if good and bad:
            signs = ["replicas-disagree" if bad[0].status in {401, 403, 404} else "replica-broken"]
            return failed(bad[0], note=f"{len(bad)} of {len(answers)} the same requests fail", signs=signs)
        if bad:
            return failed(bad[0], note="every request fails")
    versions = {one.body for one in alive}
    if len(versions) > 1:
        note = "replicas run different versions: " + ", ".join(sorted(one.decode() for one in versions))
        return failed(alive[0], note=note, signs=["versions-differ"])
    return passed(note=f"{len(alive) + len(known)} requests, each on a new connection, all answered alike")


async def _again(ask: Callable[[], Awaitable[Answer]]) -> list[Answer]:
    """``ROUNDS`` answers; fewer where the first ones all fail, which takes long and tells no more."""
    answers: list[Answer] = []
    while len(answers) < ROUNDS and not (len(answers) == _ENOUGH and not any(one.ok for one in answers)):
        answers.append(await ask())
    return answers


def _may_ask(exam: Examination) -> bool:
    return bool(exam.learnt.key) or exam.target.kind == "mlflow"


async def same_files(exam: Examination) -> Outcome:
    """A file sent over one connection is there on every other."""
    path = next(iter(exam.learnt.sent))
    found = [await exam.file("GET", path, fresh=True) for _ in range(ROUNDS)]
    bad = [one for one in found if not one.ok]
    if bad:
        signs = ["replicas-disagree"] if bad[0].status == 404 else ["replica-broken"]
        return failed(bad[0], note=f"missing in {len(bad)} of {ROUNDS} requests", signs=signs)
    return passed(note=f"found {ROUNDS} times of {ROUNDS}")


async def rate(exam: Examination) -> Outcome:
    """A key with a rate of ``_RATE`` an hour is stopped there, by all replicas together."""
    if not exam.target.operator_key or not exam.learnt.workspace:
        return skipped(NO_OPERATOR, matters=False)
    key = await temporary_key(exam, exam.learnt.workspace, permissions=["read"], make=False, rate=f"{_RATE}/h")
    if isinstance(key, Answer):
        return failed(key)
    url = exam.target.api + _MODELS
    for count in range(2 * _RATE):
        found = await exam.probe.ask("GET", url, key=key, query=_ONE, fresh=True)
        if found.status == 429:
            return _stopped(found, count)
        if not found.ok:
            return failed(found)
    return failed(found, note=f"{2 * _RATE} requests pass where {_RATE} may", signs=["limits-apart"])


def _stopped(found: Answer, count: int) -> Outcome:
    if "retry-after" not in found.headers:
        return failed(found, note="refused without Retry-After")
    if count > _RATE + 2:
        return failed(found, note=f"{count} requests pass where {_RATE} may", signs=["limits-apart"])
    return passed(found, note=f"stopped after {count} requests, Retry-After {found.headers['retry-after']}")


async def address(exam: Examination) -> Outcome:
    """The address the server takes us for: not the proxy's, and not one a client can make up."""
    if not exam.target.operator_key or not exam.learnt.workspace:
        return skipped(NO_OPERATOR, matters=False)
    key = await temporary_key(exam, exam.learnt.workspace, permissions=["read"], make=False, allow_ips=["192.0.2.1/32"])
    if isinstance(key, Answer):
        return failed(key)
    url = exam.target.api + _MODELS
    found = await exam.probe.ask("GET", url, key=key, query=_ONE, headers={"X-Forwarded-For": _SPOOFED})
    if found.code != "HK1203":
        return failed(found, note="a key for 192.0.2.1 alone is not refused for our address")
    seen = found.message.partition(" from ")[2].split(". ")[0].rstrip(".")
    if seen == _SPOOFED:
        return failed(found, note="the server believes an address that a client made up", signs=["address-made-up"])
    here = _own_address(exam.target.host, exam.target.port)
    if seen != here and _comparable(seen, here):
        return failed(found, note=f"we are {here}, and the server sees {seen}", signs=["address-of-proxy"])
    return passed(note=f"the server sees {seen}")


def _own_address(host: str, port: int) -> str:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, port))  # sends nothing
        return str(probe.getsockname()[0])


def _comparable(seen: str, here: str) -> bool:
    """Behind NAT our own address says nothing, unless the server sees one that no outsider has."""
    try:
        theirs, ours = ipaddress.ip_address(seen), ipaddress.ip_address(here)
    except ValueError:
        return True
    return theirs.is_loopback == ours.is_loopback and (theirs.is_private or not ours.is_private)


async def isolation(exam: Examination) -> Outcome:
    """Two made-up workspaces: what one has, the other neither sees, reads nor changes."""
    if not exam.target.operator_key:
        return skipped(NO_OPERATOR, matters=False)
    names = (f"{exam.name}-a", f"{exam.name}-b")
    keys = [await temporary_key(exam, name, permissions=["admin"]) for name in names]
    refused = next((key for key in keys if isinstance(key, Answer)), None)
    if refused:
        return failed(refused)
    ours, theirs = map(str, keys)
    ask, base = exam.probe.ask, exam.target.api
    path = f"{base}{mlflow_api.ARTIFACTS}/canary.txt"

    async def remove() -> str | None:
        for url, body in ((path, None), (f"{base}{V2}/registered-models/delete", {"name": "canary"})):
            await ask("DELETE", url, key=ours, body=body)
        return None

    exam.cleanup.add(remove)
    made = await ask("POST", f"{base}{V2}/registered-models/create", key=ours, body={"name": "canary"})
    sent = await ask("PUT", path, key=ours, content=b"canary")
    if not (made.ok and sent.ok):
        return failed(sent if made.ok else made)
    tries = (
        await ask("GET", path, key=theirs),
        await ask("GET", f"{base}{V2}/registered-models/get", key=theirs, query={"name": "canary"}),
        await ask(
            "GET",
            f"{base}{V2}/registered-models/get",
            key=theirs,
            query={"name": "canary"},
            headers={mlflow_api.WORKSPACE_HEADER: names[0]},
        ),
        await ask("DELETE", path, key=theirs),
    )
    through = [one for one in tries if one.ok]
    if through:
        return failed(through[0], note="one workspace reaches another's", signs=["walls-open"])
    search = await ask("GET", base + _MODELS, key=theirs)
    if "canary" in search.body.decode("utf-8", "replace"):
        return failed(search, note="one workspace lists another's", signs=["walls-open"])
    return passed(*tries[:1], note=f"{len(tries) + 1} tries across the wall, none gets through")


async def release(exam: Examination) -> Outcome:
    """The version that answers is the one that was rolled out."""
    wanted = exam.target.expect_version
    found = await exam.ask("GET", "/version")
    version = str(found.document.get("version") or found.body.decode("utf-8", "replace").strip())
    if not found.ok:
        return failed(found)
    if wanted is None:
        return skipped(f"version {version} answers; give --expect-version to have it compared", matters=False)
    note = f"version {version} answers, {wanted} was expected"
    return passed(note=f"version {version}") if version == wanted else failed(note=note, signs=["version-differs"])


async def log(exam: Examination) -> Outcome:
    """What the server itself says, where its log was given."""
    if exam.target.log is None:
        return skipped("no --log: give the server's log, or - for standard input", matters=False)
    if not exam.target.log.strip():
        return skipped("the log is empty")
    signs = server_log.signs(exam.target.log)
    if not signs:
        return passed(note=f"{len(exam.target.log.splitlines())} lines without a known complaint")
    return failed(note="; ".join(line for _, line in signs.values()), signs=signs)
