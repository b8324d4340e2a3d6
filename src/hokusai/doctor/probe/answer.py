"""The answer to one request: what came back and who sent it, or why nothing came back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from hokusai.doctor.probe.connection_failure import ConnectionFailure
from hokusai.doctor.probe.redaction import redacted

#: Bytes of a body that are kept; the rest is counted and hashed.
MAX_KEPT_BYTES = 256 * 1024
_MAX_QUOTED = 160
_MAX_PATH = 60


class Responder(StrEnum):
    """Who wrote an answer. A proxy that only passes an answer on did not write it."""

    HOKUSAI = "hokusai"
    MLFLOW = "mlflow"
    NGINX = "nginx"
    HAPROXY = "haproxy"
    ALB = "alb"
    UNKNOWN = "unknown"
    NOBODY = "nobody"


#: Proxies and load balancers that are recognised.
PROXIES = frozenset({Responder.NGINX, Responder.HAPROXY, Responder.ALB})
_HAPROXY = re.compile(rb"\s*<html><body><h1>\d{3} [^<]+</h1>\n[^<]+\n</body></html>\s*")
_WERKZEUG = b"<!doctype html>\n<html lang=en>\n<title>"
_MLFLOW_TEXTS = (b"--serve-artifacts", b"Invalid Host header", b'"mlflow')
_MLFLOW_SERVERS = ("gunicorn", "uvicorn", "waitress", "Werkzeug")


@dataclass(frozen=True, slots=True)
class Answer:
    """One request and its answer. ``status`` is 0 where there was no answer; ``failure`` and ``detail`` say why."""

    method: str
    path: str
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    size: int = 0
    sha256: str = ""
    seconds: float = 0.0
    failure: ConnectionFailure | None = None
    detail: str = ""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300 and self.failure is None

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object in the body; empty if there is none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def code(self) -> str:
        """Hokusai's error code (``HK…``), or an empty string."""
        error = self.document.get("hokusai")
        found = error.get("code") if isinstance(error, dict) else None
        return str(found or self.headers.get("x-hokusai-code", ""))

    @property
    def message(self) -> str:
        return str(self.document.get("message", ""))

    @property
    def responder(self) -> Responder:
        if not self.status:
            return Responder.NOBODY
        if isinstance(self.document.get("hokusai"), dict) or "x-hokusai-code" in self.headers:
            return Responder.HOKUSAI
        return self._by_page() or self._by_headers()

    def _by_page(self) -> Responder | None:
        if b"<center>nginx" in self.body or b"<center>openresty" in self.body:
            return Responder.NGINX
        if _HAPROXY.fullmatch(self.body):
            return Responder.HAPROXY
        if self.headers.get("server", "").startswith("awselb"):
            return Responder.ALB
        if self.body.startswith(_WERKZEUG) or any(text in self.body for text in _MLFLOW_TEXTS):
            return Responder.MLFLOW
        return None

    def _by_headers(self) -> Responder:
        if "error_code" in self.document:
            return Responder.MLFLOW
        if "x-request-id" in self.headers:
            return Responder.HOKUSAI
        return Responder.MLFLOW if self.headers.get("server", "").startswith(_MLFLOW_SERVERS) else Responder.UNKNOWN

    def summary(self) -> str:
        """The request and its answer in one line, without keys."""
        request = f"{self.method} {_shortened(self.path)}"
        failure = f"{self.failure}: {self.detail}" if self.failure else ""
        if not self.status:
            return redacted(f"{request} → {failure} (after {self.seconds:.2f} s)")
        parts = [f"{request} → {self.status} {self._media_type}", f"{self.size} bytes", *self._described(), failure]
        return redacted(", ".join(filter(None, parts)))

    @property
    def _media_type(self) -> str:
        return self.headers.get("content-type", "no content type").partition(";")[0]

    def _described(self) -> list[str]:
        server, location = self.headers.get("server"), self.headers.get("location")
        parts = [f"server: {server}" if server else "", f"to {location.partition('?')[0]}" if location else ""]
        if self.status >= 300:
            parts += [f"from {self.responder}", f"{self.code} {self.message}".strip() or f"text: {self._quoted()!r}"]
        return parts

    def _quoted(self) -> str:
        text = re.sub(r"<[^>]*>|\s+", " ", self.body[:2000].decode("utf-8", "replace"))
        return re.sub(r" +", " ", text).strip()[:_MAX_QUOTED]


def _shortened(path: str) -> str:
    """The start and the end of the path: its middle is mostly ids."""
    if len(path) <= _MAX_PATH:
        return path
    start, end = path[:_MAX_PATH].rpartition("/")[0], path.rpartition("/")[2]
    return f"{start}/…/{end[-40:]}"
