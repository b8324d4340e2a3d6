"""What is named when checks failed and no rule says why."""

from __future__ import annotations

from hokusai.doctor.faults.fault import Fault

UNEXPLAINED = Fault(
    id="unexplained",
    layer="gateway",
    title="A check failed for an unknown reason",
    cause="What the checks saw fits none of the known faults.",
    remedy="Read the evidence of the failed checks, and send the report together with the version.",
    command="hokusai doctor URL --json",
    evidence=(),
)
