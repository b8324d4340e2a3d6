"""A fault: what is broken, how it is recognised, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from hokusai.doctor.examination import Layer
from hokusai.doctor.faults.evidence import Rule, symptom

#: The server names a fault itself in /ready only where its error leaves no doubt.
_NAMED_BY_READY = 98

#: Shows the server's log to the doctor.
SERVER_LOG_COMMAND = "journalctl -u hokusai -n 100 | hokusai doctor URL --log -   # or: aws logs tail GROUP | …"

#: But not inside other names, such as HOKUSAI_PUBLIC_URL.
_PLACEHOLDER = re.compile(r"(?<![A-Za-z_$])(?:URL|HOST|PORT)(?![A-Za-z_])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A cause, in the words of the person who has to fix it. Its documentation page is generated from it.

    ``command`` is what to type next. ``confused_with`` names the faults that can look the same from
    outside, each with the command that tells it from this one. In commands, URL, HOST and PORT stand
    for the deployment's. ``named_by_ready`` says that the server may name this fault in /ready.
    """

    id: str
    layer: Layer
    title: str
    cause: str
    remedy: str
    command: str
    evidence: tuple[Rule, ...]
    named_by_ready: bool = False
    confused_with: Mapping[str, str] = field(default_factory=dict)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Everything that points to this fault."""
        named = (symptom(f"fault:{self.id}", check="ready", confidence=_NAMED_BY_READY),)
        return self.evidence + named * self.named_by_ready

    def at(self, url: str) -> Fault:
        """With commands for the deployment at ``url``, ready to be typed."""
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        values = {"URL": url, "HOST": parts.hostname or url, "PORT": str(port)}

        def filled(text: str) -> str:
            return _PLACEHOLDER.sub(lambda found: values[found[0]], text)

        confused_with = {name: filled(command) for name, command in self.confused_with.items()}
        return replace(self, command=filled(self.command), confused_with=confused_with)
