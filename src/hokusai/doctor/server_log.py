"""What a server's log tells that nobody outside can see: why it does not start."""

from __future__ import annotations

import re

from hokusai.doctor.answer import redacted

#: Other people's words, by the sign they stand for. Our own lines carry their code.
_WORDS = (
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
_SHOWN = 240


def signs(log: str) -> dict[str, tuple[str, str]]:
    """Each sign in the log with where it came from and its last line. Keys are taken out."""
    found: dict[str, tuple[str, str]] = {}
    for line in log.splitlines():
        shown = redacted(line.strip())[:_SHOWN]
        for code in _CODE.findall(line):
            found[f"log-{code}"] = (code, shown)
        for sign, pattern in _WORDS:
            if pattern.search(line):
                found[f"log-{sign}"] = (sign, shown)
    if _restarts(log):
        found["log-restarts"] = ("restarts", "it starts again and again and never gets ready")
    return found


def _restarts(log: str) -> bool:
    """Two starts at least, none of which got ready, and no error of its own."""
    return len(_STARTS.findall(log)) >= 2 and not _IS_READY.search(log) and not _CODE.search(log)
