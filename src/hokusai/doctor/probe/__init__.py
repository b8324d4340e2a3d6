"""Requests to a deployment from outside, and what came back. The lowest layer of the doctor."""

from __future__ import annotations

from hokusai.doctor.probe.answer import PROXIES, Answer, Responder
from hokusai.doctor.probe.client import CONNECT_SECONDS, SETTLE_SECONDS, Probe
from hokusai.doctor.probe.connection_failure import ConnectionFailure, classify
from hokusai.doctor.probe.redaction import redacted, sanitized

__all__ = [
    "CONNECT_SECONDS",
    "PROXIES",
    "SETTLE_SECONDS",
    "Answer",
    "ConnectionFailure",
    "Probe",
    "Responder",
    "classify",
    "redacted",
    "sanitized",
]
