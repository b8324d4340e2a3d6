"""The doctor: proves from outside that a deployment works, or names what is broken.

``CHECKS`` are the probes, ``FAULTS`` what can be named, ``RULES`` what evidence speaks for which;
``examine`` runs the ones on a ``Target`` and makes a ``Report`` with the others. It talks to a
deployment like a stranger does and imports no server room.
"""

from __future__ import annotations

from collections.abc import Sequence

from hokusai.doctor.check import Check, Outcome, Result, Status
from hokusai.doctor.checks import CHECKS
from hokusai.doctor.diagnosis import Named, diagnose
from hokusai.doctor.examination import Examination, Target
from hokusai.doctor.faults import FAULTS, Fault
from hokusai.doctor.markdown_report import markdown
from hokusai.doctor.probe import Probe
from hokusai.doctor.report import Report
from hokusai.doctor.rules import RULES, Rule, When
from hokusai.doctor.runner import OVERALL_SECONDS, OnResult, Runner, chosen

__all__ = [
    "CHECKS",
    "FAULTS",
    "OVERALL_SECONDS",
    "RULES",
    "Check",
    "Examination",
    "Fault",
    "Named",
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
    """Run the checks that make sense for the target. What they made is removed again, whatever happens."""
    fitting = [check for check in checks if target.kind in check.kinds]
    async with Probe() as probe:
        run = await Runner(fitting, observe=observe).run(Examination(target, probe))
    return Report.of(target.url, run)
