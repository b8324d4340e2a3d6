"""Faults of admission: what happens to a version before it is READY."""

from __future__ import annotations

from hokusai.doctor.faults.evidence import symptom
from hokusai.doctor.faults.fault import SERVER_LOG_COMMAND, Fault

FAULTS = (
    Fault(
        id="admission-stalled",
        layer="admission",
        title="Versions stay PENDING",
        cause="New versions do not get through admission: its worker is not running, or is waiting for something.",
        remedy="Start the worker, and read its log.",
        command=SERVER_LOG_COMMAND,
        evidence=(symptom("stays-pending", confidence=95),),
    ),
)
