"""The doctor: proves from outside that a deployment works, or names what is broken.

``probe`` sends requests, ``checks`` ask with them what works, and ``faults`` says what their results
mean. ``examine`` runs the checks on a ``Target`` and returns a ``Report``. The doctor sees a deployment as
a model developer does, and imports no server package.
"""

from __future__ import annotations

from collections.abc import Sequence

from hokusai.doctor.checks import CHECKS
from hokusai.doctor.diagnosis import NamedFault, diagnose
from hokusai.doctor.examination import Check, Examination, Outcome, Result, Status, Target
from hokusai.doctor.faults import FAULTS, RULES, Fault, Rule, When
from hokusai.doctor.markdown_report import markdown
from hokusai.doctor.probe import Probe
from hokusai.doctor.report import Report
from hokusai.doctor.runner import OVERALL_SECONDS, OnResult, Runner, chosen

__all__ = [
    "CHECKS",
    "FAULTS",
    "OVERALL_SECONDS",
    "RULES",
    "Check",
    "Examination",
    "Fault",
    "NamedFault",
    "OnResult",
    "Outcome",
    "Probe",
    "Report",
    "Result",
    "Rule",
    "Runner",
    "Status",
    "Target",
    "When",
    "chosen",
    "diagnose",
    "examine",
    "markdown",
]


async def examine(target: Target, checks: Sequence[Check] = CHECKS, *, observe: OnResult = lambda *_: None) -> Report:
    """Run the checks that apply to the target. What they made is removed again, however this ends."""
    applicable = [check for check in checks if target.kind in check.kinds]
    async with Probe() as probe:
        run = await Runner(applicable, observe=observe).run(Examination(target, probe))
    return Report.of(target.url, run)
