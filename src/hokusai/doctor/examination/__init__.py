"""What is examined, by what kind of check, and how checks come out."""

from __future__ import annotations

from hokusai.doctor.examination.check import HOKUSAI_ONLY, Check, Result, declare_check
from hokusai.doctor.examination.examination import Examination
from hokusai.doctor.examination.layer import Layer
from hokusai.doctor.examination.outcome import Outcome, Status, failed, passed, skipped
from hokusai.doctor.examination.target import Kind, Target

__all__ = [
    "HOKUSAI_ONLY",
    "Check",
    "Examination",
    "Kind",
    "Layer",
    "Outcome",
    "Result",
    "Status",
    "Target",
    "declare_check",
    "failed",
    "passed",
    "skipped",
]
