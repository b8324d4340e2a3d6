"""What a server's log shows that nobody outside can see, such as why it does not start."""

from __future__ import annotations

import re

from hokusai.doctor.probe import redacted

#: Other programs' messages, by the symptom they are. Hokusai's own lines carry their code.
_MESSAGES = (
    ("exec-format", re.compile(r"exec format error", re.IGNORECASE)),
    ("password-refused", re.compile(r"password authentication failed|is not permitted to log in", re.IGNORECASE)),
    ("host-unresolved", re.compile(r"host not found in upstream|could not be resolved|Name or service not known")),
    ("upstream-refused", re.compile(r"connect\(\) failed \(111", re.IGNORECASE)),
    ("upstream-silent", re.compile(r"upstream timed out|\(110: Connection timed out\)", re.IGNORECASE)),
    ("serving-off", re.compile(r"--no-serve-artifacts")),
)
_CODE = re.compile(r"\bHK\d{4}\b")
_STARTS = re.compile(r"hokusai \S+ starts")
_IS_READY = re.compile(r"hokusai \S+ is ready")
_MAX_LINE = 240


def symptoms(log: str) -> dict[str, str]:
    """Each symptom in the log with the last line that shows it, redacted."""
    found: dict[str, str] = {}
    for line in log.splitlines():
        names = _CODE.findall(line) + [name for name, pattern in _MESSAGES if pattern.search(line)]
        found |= {f"log-{name}": redacted(line.strip())[:_MAX_LINE] for name in names}
    if _restarts(log):
        found["log-restarts"] = "the server starts again and again and never becomes ready"
    return found


def _restarts(log: str) -> bool:
    """At least two starts, none of which became ready, and no error of Hokusai's that would explain it."""
    return len(_STARTS.findall(log)) >= 2 and not _IS_READY.search(log) and not _CODE.search(log)
