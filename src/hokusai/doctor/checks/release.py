"""Group ``release``: the version that answers, and what the server's log says."""

from __future__ import annotations

from hokusai.doctor.checks import server_log
from hokusai.doctor.checks.network import REACHABLE
from hokusai.doctor.examination import Examination, Outcome, declare_check, failed, passed, skipped


@declare_check(id="release", title="The expected version answers", layer="release", group="release", needs=REACHABLE)
async def release(exam: Examination) -> Outcome:
    expected = exam.target.expect_version
    found = await exam.ask("GET", "/version")
    version = str(found.document.get("version") or found.text.strip())
    if not found.ok:
        return failed(found)
    if expected is None:
        return skipped(f"version {version} answers; give --expect-version to compare it", optional=True)
    if version != expected:
        return failed(note=f"version {version} answers, {expected} was expected", symptoms=["version-differs"])
    return passed(note=f"version {version}")


@declare_check(id="log", title="The server's log shows no known problem", layer="gateway", group="release")
async def log(exam: Examination) -> Outcome:
    """The only check that sees why a server does not start."""
    text = exam.target.log
    if text is None:
        return skipped("no --log: give a file with the server's log, or - for standard input", optional=True)
    if not text.strip():
        return skipped("the log is empty")
    symptoms = server_log.symptoms(text)
    if not symptoms:
        return passed(note=f"{len(text.splitlines())} lines without a known problem")
    return failed(note="; ".join(symptoms.values()), symptoms=symptoms)
