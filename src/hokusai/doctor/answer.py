"""What was answered to one request, by whom, or why nothing was."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from hokusai import apikey
from hokusai.doctor.trouble import Trouble

#: Bytes of a body that are kept; the rest is counted and hashed.
KEPT = 256 * 1024
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[0-9a-z+/=._~-]{16,}")
_TELLING = 8  # characters that a key is known by
_SHOWN = 160
_PATH = 60


class Who(StrEnum):
    """Whose words an answer is made of. A proxy that passes something on is not its author."""

    HOKUSAI = "hokusai"
    MLFLOW = "mlflow"
    NGINX = "nginx"
    HAPROXY = "haproxy"
    ALB = "alb"
    UNKNOWN = "unknown"
    NOBODY = "nobody"


#: Those that stand in front and have no registry themselves.
IN_FRONT = frozenset({Who.NGINX, Who.HAPROXY, Who.ALB})
_HAPROXY = re.compile(rb"\s*<html><body><h1>\d{3} [^<]+</h1>\n[^<]+\n</body></html>\s*")
_WERKZEUG = b"<!doctype html>\n<html lang=en>\n<title>"
_MLFLOW_SAYS = (b"--serve-artifacts", b"Invalid Host header", b'"mlflow')


def redacted(text: str, keys: Iterable[str] = ()) -> str:
    """The text without anything that could be a key, nor ``keys``, whatever they look like, even if cut short."""
    for key in keys:
        text = re.sub(re.escape(key[:_TELLING]) + r"[^\s\"',;<>]*", "…", text)
    return apikey.TRACE.sub(r"hk_\1_…", _BEARER.sub(r"\1 …", text))


def told(text: str, keys: Iterable[str] = ()) -> str:
    """The text as a report has it: one line, without keys, of characters no terminal obeys and XML has a place for."""
    line = redacted(" ".join(text.split()), keys)
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in line)


@dataclass(frozen=True, slots=True)
class Answer:
    """One exchange. ``status`` is 0 where nobody answered, and ``trouble`` says why."""

    method: str
    path: str
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    size: int = 0
    sha256: str = ""
    seconds: float = 0.0
    trouble: Trouble | None = None
    words: str = ""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300 and self.trouble is None

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object in the body; empty where there is none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def code(self) -> str:
        """Our error code (``HK…``), or the empty text."""
        ours = self.document.get("hokusai")
        found = ours.get("code") if isinstance(ours, dict) else None
        return str(found or self.headers.get("x-hokusai-code", ""))

    @property
    def message(self) -> str:
        return str(self.document.get("message", ""))

    @property
    def who(self) -> Who:
        if not self.status:
            return Who.NOBODY
        if isinstance(self.document.get("hokusai"), dict) or "x-hokusai-code" in self.headers:
            return Who.HOKUSAI
        return self._by_page() or self._by_headers()

    def _by_page(self) -> Who | None:
        if b"<center>nginx" in self.body or b"<center>openresty" in self.body:
            return Who.NGINX
        if _HAPROXY.fullmatch(self.body):
            return Who.HAPROXY
        if self.headers.get("server", "").startswith("awselb"):
            return Who.ALB
        if self.body.startswith(_WERKZEUG) or any(sign in self.body for sign in _MLFLOW_SAYS):
            return Who.MLFLOW
        return None

    def _by_headers(self) -> Who:
        if "error_code" in self.document:
            return Who.MLFLOW
        if "x-request-id" in self.headers:
            return Who.HOKUSAI
        server = self.headers.get("server", "")
        return Who.MLFLOW if server.startswith(("gunicorn", "uvicorn", "waitress", "Werkzeug")) else Who.UNKNOWN

    def line(self) -> str:
        """The exchange in one line, for people. It holds no key."""
        asked = f"{self.method} {_short(self.path)}"
        if self.trouble and not self.status:
            return redacted(f"{asked} → {self.trouble}: {self.words} (after {self.seconds:.2f} s)")
        kind = self.headers.get("content-type", "no content type").partition(";")[0]
        parts = [f"{asked} → {self.status} {kind}", f"{self.size} bytes"]
        if server := self.headers.get("server"):
            parts.append(f"server: {server}")
        if leads := self.headers.get("location"):
            parts.append(f"to {leads.partition('?')[0]}")
        if self.status >= 300:
            parts.append(f"by {self.who}")
            parts.append(f"{self.code} {self.message}".strip() or f"says {self._said()!r}")
        if self.trouble:
            parts.append(f"{self.trouble}: {self.words}")
        return redacted(", ".join(parts))

    def _said(self) -> str:
        text = re.sub(r"<[^>]*>|\s+", " ", self.body[:2000].decode("utf-8", "replace"))
        return re.sub(r" +", " ", text).strip()[:_SHOWN]


def _short(path: str) -> str:
    """The path's two ends: the middle is mostly ids."""
    if len(path) <= _PATH:
        return path
    start, end = path[:_PATH].rpartition("/")[0], path.rpartition("/")[2]
    return f"{start}/…/{end[-40:]}"
